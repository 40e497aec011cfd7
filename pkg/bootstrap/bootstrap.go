// Package bootstrap starts a function: it reads the environment, makes what every function has, and hands the
// function's triggers to Lambda.
package bootstrap

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

// Parts are what every function is made of.
type Parts struct {
	Settings settings.Settings
	AWS      aws.Config
	Log      logging.Log
	Now      func() time.Time // the wall clock
	WeChat   *wechat.Client
	Secrets  token.Secrets
	Bus      *eventbus.Bus
}

// New makes the parts.
func New(s settings.Settings, cfg aws.Config, log logging.Log, now func() time.Time) Parts {
	return Parts{
		Settings: s, AWS: cfg, Log: log, Now: now,
		WeChat:  wechat.New(s.WeChatBaseURLs),
		Secrets: token.NewSecrets(secretsmanager.NewFromConfig(cfg), s.SecretPrefix),
		Bus:     eventbus.New(eventbridge.NewFromConfig(cfg), s.EventBusName, log.Logger),
	}
}

// Tokens makes the source of tokens that stand in store.
func (p Parts) Tokens(store token.Store) *token.Source {
	return token.NewSource(store, p.Bus, p.Settings.TokenCacheTTL, p.Now)
}

// Run runs a function until Lambda ends the process. What can't be used in the environment ends it at once, with one
// line on standard error.
func Run(function func(Parts) trigger.Triggers) {
	s, err := settings.Read(os.Getenv)
	if err != nil {
		fatal(err)
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fatal(fmt.Errorf("load the AWS configuration: %w", err))
	}
	log := logging.New(s.LogLevel)
	lambda.Start(function(New(s, cfg, log, time.Now)).Handle)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "wechat-draftbox can't start:", err)
	os.Exit(1)
}
