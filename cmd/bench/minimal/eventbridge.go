//go:build eventbridge

package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
)

func init() { link = append(link, func(cfg aws.Config) { eventbridge.NewFromConfig(cfg) }) }
