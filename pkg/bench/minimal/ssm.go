//go:build ssm

package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

func init() { link = append(link, func(cfg aws.Config) { ssm.NewFromConfig(cfg) }) }
