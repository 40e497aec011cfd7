package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/secret"
)

// questions are the keys of the platform's secret, and their names on the platform's settings page.
var questions = []struct{ key, question string }{
	{"component_appid", "component appid (AppID)"},
	{"component_appsecret", "component app secret (AppSecret)"},
	{"message_token", "message token (消息校验Token)"},
	{"encoding_aes_key", "EncodingAESKey (消息加解密Key), 43 characters"},
	{"previous_encoding_aes_key", "former EncodingAESKey, empty if it never changed"},
}

// askValues prompts the operator for the values.
func askValues(prompt func(string) (string, error)) func() (map[string]string, error) {
	return func() (map[string]string, error) {
		values := make(map[string]string)
		for _, q := range questions {
			answer, err := prompt(q.question)
			if err != nil {
				return nil, fmt.Errorf("read the %s: %w", q.key, err)
			}
			if answer = strings.TrimSpace(answer); answer != "" {
				values[q.key] = answer
			}
		}
		return values, nil
	}
}

// readValues reads the values from a JSON file.
func readValues(name string) func() (map[string]string, error) {
	return func() (map[string]string, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var values map[string]string
		if json.Unmarshal(text, &values) != nil { // the error would quote secret values
			return nil, fmt.Errorf("%s is no JSON object of strings", name)
		}
		return values, nil
	}
}

// storePlatform validates the values as the functions do, and stores them.
func storePlatform(ctx context.Context, w secretWriter, name string, read func() (map[string]string, error)) error {
	values, err := read()
	if err != nil {
		return err
	}
	text, err := json.Marshal(values)
	if err != nil {
		return errors.New("the values can't be encoded")
	}
	p, err := platform.Parse(name, secret.New(string(text)))
	if err != nil {
		return err
	}
	if _, err := push.NewReceiver(p.AppID, p.MessageToken, p.EncodingAESKey, p.PreviousAESKey); err != nil {
		return err
	}

	if err := w.write(ctx, name, "What wechat-draftbox knows of the third-party platform", string(text)); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "stored %s for platform %s\n", name, p.AppID)
	return nil
}

// storeRobots validates the file as the function notify does, and stores it.
func storeRobots(ctx context.Context, w secretWriter, name, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	robots, err := robot.Parse(name, secret.New(string(text)))
	if err != nil {
		return err
	}
	if err := w.write(ctx, name, "The chat robots that wechat-draftbox tells of its events", string(text)); err != nil {
		return err
	}
	fmt.Fprintf(w.out, "stored %s, robots: %d; make notify-test sends a message to each\n", name, len(robots))
	return nil
}

// secretWriter stores secrets. key is the KMS key for new ones; empty selects the key that AWS manages.
type secretWriter struct {
	client *secretsmanager.Client
	key    string
	out    io.Writer
}

// write creates the secret, or adds a version to it. The description applies only to a new secret.
func (w secretWriter) write(ctx context.Context, name, description, text string) error {
	in := &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String(text), Description: aws.String(description)}
	if w.key != "" {
		in.KmsKeyId = aws.String(w.key)
	}
	_, err := w.client.CreateSecret(ctx, in)
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		_, err = w.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String(name), SecretString: aws.String(text)})
	}
	if err != nil {
		return fmt.Errorf("store the secret %s: %w", name, err)
	}
	return nil
}
