//go:build dynamodb

package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

func init() { link = append(link, func(cfg aws.Config) { dynamodb.NewFromConfig(cfg) }) }
