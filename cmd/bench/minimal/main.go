// Command minimal is the baseline for drafts: a Lambda that lists the draft box as one would write it in an afternoon.
// It reads its token once at start, and has no cache and no error handling.
//
// The build tags dynamodb and eventbridge link further SDK clients, so that it can have the same ones as drafts.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"slices"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

type draft struct {
	DraftID                int64  `json:"draft_id"`
	CreateTime             int64  `json:"create_time"`
	UserVersion            string `json:"user_version"`
	UserDesc               string `json:"user_desc"`
	SourceMiniprogramAppID string `json:"source_miniprogram_appid"`
	SourceMiniprogram      string `json:"source_miniprogram"`
	Developer              string `json:"developer"`
	CategoryList           []any  `json:"category_list"`
}

type list struct {
	Errcode   int     `json:"errcode"`
	Errmsg    string  `json:"errmsg"`
	DraftList []draft `json:"draft_list"`
}

// link keeps the constructors of unused clients in the binary.
var link []func(aws.Config)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, makeClient := range link {
		makeClient(cfg)
	}
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(os.Getenv("SECRET_ID")),
	})
	if err != nil {
		log.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(*out.SecretString), &token); err != nil {
		log.Fatal(err)
	}
	target := os.Getenv("WECHAT_API_BASE_URL") + "/wxa/gettemplatedraftlist?access_token=" + url.QueryEscape(token.AccessToken)

	lambda.Start(func(ctx context.Context, _ events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		drafts, err := fetch(ctx, target)
		if err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
		slices.SortFunc(drafts, func(a, b draft) int { return cmp.Compare(b.CreateTime, a.CreateTime) })
		body, err := json.Marshal(map[string]any{"drafts": drafts, "count": len(drafts)})
		if err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
		return events.APIGatewayV2HTTPResponse{
			StatusCode: http.StatusOK,
			Headers:    map[string]string{"Content-Type": "application/json"},
			Body:       string(body),
		}, nil
	})
}

func fetch(ctx context.Context, target string) ([]draft, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer list
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Errcode != 0 {
		return nil, fmt.Errorf("errcode %d: %s", answer.Errcode, answer.Errmsg)
	}
	return answer.DraftList, nil
}
