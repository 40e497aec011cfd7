// Package bootstrap starts a function: it reads the environment, makes the common dependencies, and runs the function's
// router in Lambda.
package bootstrap

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	sdklogging "github.com/aws/smithy-go/logging"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

// Deps are the dependencies that all functions share.
type Deps struct {
	Settings Settings
	AWS      aws.Config
	Log      telemetry.Log
	Now      func() time.Time // the wall clock
	WeChat   *wechat.Client
	Secrets  token.SecretsStore
	Metrics  *telemetry.Recorder
	Bus      *eventbus.Bus
}

// New makes the dependencies. options are for the WeChat client.
func New(s Settings, cfg aws.Config, log telemetry.Log, recorder *telemetry.Recorder, options ...wechat.Option) Deps {
	return Deps{
		Settings: s, AWS: cfg, Log: log, Now: time.Now, Metrics: recorder,
		WeChat:  wechat.New(s.WeChatBaseURLs, append(options, wechat.WithObserver(recorder.Attempt))...),
		Secrets: token.NewSecretsStore(secretsmanager.NewFromConfig(cfg), s.SecretPrefix, s.KMSKey),
		Bus:     eventbus.New(eventbridge.NewFromConfig(cfg), s.EventBusName, s.SecretPrefix, log.Logger),
	}
}

// Tokens makes a reader of the tokens in store.
func (d Deps) Tokens(store token.Getter) *token.Reader {
	return token.NewReader(store, d.Bus, d.Settings.TokenCacheTTL, d.Now)
}

// Run runs a function until Lambda ends the process. An invalid environment ends it with one line on standard error.
func Run(function func(Deps) trigger.Router) {
	s, err := ReadSettings(os.Getenv)
	if err != nil {
		fatal(err)
	}
	log := telemetry.NewLog(s.LogLevel)
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithLogger(sdkLog(log.Logger)))
	if err != nil {
		fatal(fmt.Errorf("load the AWS configuration: %w", err))
	}
	recorder := telemetry.NewRecorder(os.Stdout, lambdacontext.FunctionName, time.Now)
	deps := New(s, cfg, log, recorder)
	lambda.Start(deps.Handler(function(deps)))
}

// sdkLog writes the SDK's messages to the function's log. By default the SDK prints plain text.
func sdkLog(log *slog.Logger) sdklogging.LoggerFunc {
	return func(class sdklogging.Classification, format string, v ...any) {
		level := slog.LevelDebug
		if class == sdklogging.Warn {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "the AWS SDK: "+fmt.Sprintf(format, v...))
	}
}

// deadlineMargin is how long before its deadline an invocation is canceled, so that the timeout is reported before Lambda
// kills the process.
const deadlineMargin = 500 * time.Millisecond

// handler invokes the router and flushes the metrics at the end of each invocation.
type handler struct {
	router  trigger.Router
	metrics *telemetry.Recorder
}

// Handler makes the handler that Lambda calls.
func (d Deps) Handler(router trigger.Router) lambda.Handler { return handler{router, d.Metrics} }

// Invoke implements [lambda.Handler].
func (h handler) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	defer h.metrics.Flush()
	ctx = telemetry.NewContext(ctx, h.metrics)
	if ends, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, ends.Add(-min(deadlineMargin, time.Until(ends)/10)))
		defer cancel()
	}
	answer, err := h.router.Invoke(ctx, event)
	if err != nil {
		telemetry.CountFault(ctx, err)
	}
	return answer, err
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "wechat-draftbox can't start:", err)
	os.Exit(1)
}
