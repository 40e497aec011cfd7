package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/renewal"
)

// authorizations is the encrypted queue of authorization codes for the tokens function to exchange.
type authorizations struct {
	client *sqs.Client
	url    string
}

func (q *authorizations) send(ctx context.Context, a renewal.Authorization) error {
	body, err := json.Marshal(struct {
		Task       string `json:"task"`
		AppID      string `json:"appid"`
		Code       string `json:"authorization_code"`
		CreateTime int64  `json:"create_time"`
		ExpiresAt  int64  `json:"expires_at,omitempty"`
	}{"authorize", a.AppID, a.Code.Reveal(), a.CreateTime, a.ExpiresAt})
	if err != nil {
		return err
	}
	_, err = q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(q.url), MessageBody: aws.String(string(body))})
	return awserror.Wrap("sqs:SendMessage", "the authorization queue", err)
}
