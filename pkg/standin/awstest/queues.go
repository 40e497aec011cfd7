package awstest

import (
	"container/heap"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBatch = 10
	// maxMessageBytes limits a message, and all bodies of a batch together. AWS raised it from 256 KiB to 1 MiB in
	// 2025.
	maxMessageBytes = 1 << 20
	maxVisibility   = 12 * time.Hour
	maxDelay        = 15 * time.Minute
	maxWait         = 20 * time.Second
	maxRetention    = 14 * 24 * time.Hour

	// Long polls check at this interval: messages become visible by the injected clock, which real timers don't follow.
	receiveInterval = 20 * time.Millisecond
)

// Message is a message in a queue.
type Message struct {
	ID       string
	Body     string
	Sent     time.Time
	Received int       // times
	Visible  time.Time // from when it can be received
}

// queues are the queues of an account and Region. All are standard queues.
type queues struct {
	now func() time.Time

	mu     sync.Mutex
	byName map[string]*queue
}

type queue struct {
	name              string
	created           time.Time
	visibility        time.Duration
	delay             time.Duration
	wait              time.Duration
	retention         time.Duration
	maxBytes          int
	deadLetters       string // name of the queue for them; empty: none
	maxReceiveCount   int
	opaque            map[string]string // attributes that change nothing here
	messages          messageHeap
	byID              map[string]*message
	messagesEverAdded int
}

type message struct {
	id            string
	body          string
	sent          time.Time
	firstReceived time.Time
	received      int
	visible       time.Time
	order         int // among those visible at once
	index         int // in the heap
}

// messageHeap orders messages by when they become visible.
type messageHeap []*message

func (h messageHeap) Len() int { return len(h) }

func (h messageHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }

func (h messageHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *messageHeap) Push(x any) {
	m := x.(*message)
	m.index = len(*h)
	*h = append(*h, m)
}

func (h *messageHeap) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return m
}

func (m *message) compare(other *message) int {
	if c := m.visible.Compare(other.visible); c != 0 {
		return c
	}
	return m.order - other.order
}

func newQueues(now func() time.Time) *queues {
	return &queues{now: now, byName: make(map[string]*queue)}
}

func (q *queues) operations() map[string]operation {
	return map[string]operation{
		"ChangeMessageVisibility":      on(q.changeVisibility),
		"ChangeMessageVisibilityBatch": onContext(q.changeVisibilityBatch),
		"CreateQueue":                  on(q.create),
		"DeleteMessage":                on(q.delete),
		"DeleteMessageBatch":           onContext(q.deleteBatch),
		"GetQueueAttributes":           on(q.attributes),
		"GetQueueUrl":                  on(q.url),
		"ReceiveMessage":               onContext(q.receive),
		"SendMessage":                  on(q.send),
		"SendMessageBatch":             onContext(q.sendBatch),
	}
}

// QueueOption is a setting of a queue.
type QueueOption func(*queue)

// VisibilityTimeout is how long a received message stays hidden by default; 30 seconds without this option.
func VisibilityTimeout(d time.Duration) QueueOption { return func(q *queue) { q.visibility = d } }

// DeadLetters moves a message to the queue with this URL instead of delivering it more than maxReceiveCount times.
func DeadLetters(url string, maxReceiveCount int) QueueOption {
	return func(q *queue) { q.deadLetters, q.maxReceiveCount = lastPart(url), maxReceiveCount }
}

// CreateQueue creates a queue, or changes the settings of an existing one, and returns its URL. Only the last part of
// a queue URL matters, so the host may differ.
func (s *Server) CreateQueue(name string, opts ...QueueOption) (url string) {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	q := s.queues.byName[name]
	if q == nil {
		q = s.queues.newQueue(name)
		s.queues.byName[name] = q
	}
	for _, opt := range opts {
		opt(q)
	}
	return q.url()
}

// Messages returns a queue's messages, visible or not, in the order in which they can be received. It panics if there
// is no such queue.
func (s *Server) Messages(url string) []Message {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	q, err := s.queues.find(url)
	if err != nil {
		panic("awstest: no queue " + strconv.Quote(lastPart(url)))
	}
	sorted := slices.SortedFunc(slices.Values(q.messages), (*message).compare)
	messages := make([]Message, 0, len(sorted))
	for _, m := range sorted {
		messages = append(messages, Message{m.id, m.body, m.sent, m.received, m.visible})
	}
	return messages
}

// newQueue makes a queue with AWS's default settings.
func (q *queues) newQueue(name string) *queue {
	return &queue{
		name: name, created: q.now(),
		visibility: 30 * time.Second, retention: 4 * 24 * time.Hour, maxBytes: maxMessageBytes,
		opaque: map[string]string{"SqsManagedSseEnabled": "true"},
		byID:   make(map[string]*message),
	}
}

func (q *queue) url() string {
	return "https://sqs." + region + ".amazonaws.com/" + account + "/" + q.name
}

func (q *queue) arn() string { return queueARN(q.name) }

func queueARN(name string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + name }

// lastPart is the queue's name in its URL.
func lastPart(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// The caller holds the lock.
func (q *queues) find(url string) (*queue, error) {
	if found := q.byName[lastPart(url)]; found != nil {
		return found, nil
	}
	return nil, noQueue()
}

func noQueue() *refusal {
	r := refuse("QueueDoesNotExist", "The specified queue does not exist.")
	r.query = "AWS.SimpleQueueService.NonExistentQueue"
	return r
}

// batchRefusal is an error with the long legacy code of batches.
func batchRefusal(code, format string, args ...any) *refusal {
	r := refuse(code, format, args...)
	r.query = "AWS.SimpleQueueService." + code
	return r
}

func badValue(format string, args ...any) *refusal {
	r := refuse("InvalidParameterValueException", format, args...)
	r.query = "InvalidParameterValue"
	return r
}

func missingParameter(name string) *refusal {
	r := refuse("MissingRequiredParameterException", "The request must contain the parameter %s.", name)
	r.query = "MissingParameter"
	return r
}

// Queues

type createQueue struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"` // taken and forgotten
}

func (r createQueue) resource() string { return r.QueueName }

type queueURL struct{ QueueUrl string }

func (q *queues) create(r createQueue) (*queueURL, error) {
	if r.QueueName == "" || len(r.QueueName) > 80 || strings.ContainsFunc(r.QueueName, notOfID) {
		return nil, badValue("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.byName[r.QueueName]; old != nil {
		for name, value := range r.Attributes {
			if had, _ := old.attribute(name, q.now()); had != value {
				r := refuse("QueueNameExists", "A queue already exists with the same name and a different value for attribute %s", name)
				r.query = "QueueAlreadyExists"
				return nil, r
			}
		}
		return &queueURL{old.url()}, nil
	}
	made := q.newQueue(r.QueueName)
	for name, value := range r.Attributes {
		if err := q.set(made, name, value); err != nil {
			return nil, err
		}
	}
	q.byName[made.name] = made
	return &queueURL{made.url()}, nil
}

// set parses an attribute of CreateQueue. The caller holds the lock.
func (q *queues) set(to *queue, name, value string) error {
	invalid := func(why string) error {
		return refuse("InvalidAttributeValue", "Invalid value for the parameter %s.%s", name, why)
	}
	seconds := func(field *time.Duration, least, most time.Duration) error {
		n, err := strconv.Atoi(value)
		d := time.Duration(n) * time.Second
		if err != nil || d < least || d > most {
			return invalid("")
		}
		*field = d
		return nil
	}
	switch name {
	case "VisibilityTimeout":
		return seconds(&to.visibility, 0, maxVisibility)
	case "DelaySeconds":
		return seconds(&to.delay, 0, maxDelay)
	case "ReceiveMessageWaitTimeSeconds":
		return seconds(&to.wait, 0, maxWait)
	case "MessageRetentionPeriod":
		return seconds(&to.retention, time.Minute, maxRetention)
	case "MaximumMessageSize":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1024 || n > maxMessageBytes {
			return invalid("")
		}
		to.maxBytes = n
	case "RedrivePolicy":
		target, count, err := readRedrivePolicy(value)
		if err != nil {
			return invalid(" Reason: Redrive policy is not a valid JSON map.")
		}
		if q.byName[target] == nil {
			return badValue("Value for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.")
		}
		to.deadLetters, to.maxReceiveCount = target, count
		to.opaque[name] = value
	case "Policy", "SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds":
		to.opaque[name] = value
	default:
		return refuse("InvalidAttributeName", "Unknown Attribute %s.", name)
	}
	return nil
}

func readRedrivePolicy(policy string) (target string, count int, err error) {
	var p struct {
		DeadLetterTargetARN string          `json:"deadLetterTargetArn"`
		MaxReceiveCount     json.RawMessage `json:"maxReceiveCount"` // a number, or one in quotes
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return "", 0, err
	}
	count, err = strconv.Atoi(strings.Trim(string(p.MaxReceiveCount), `"`))
	if err == nil && (count < 1 || count > 1000) {
		err = errors.New("maxReceiveCount is not between 1 and 1000")
	}
	return p.DeadLetterTargetARN[strings.LastIndexByte(p.DeadLetterTargetARN, ':')+1:], count, err
}

type getQueueURL struct{ QueueName string }

func (r getQueueURL) resource() string { return r.QueueName }

func (q *queues) url(r getQueueURL) (*queueURL, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	found, err := q.find(r.QueueName)
	if err != nil {
		return nil, err
	}
	return &queueURL{found.url()}, nil
}

type onQueue struct{ QueueUrl string }

func (r onQueue) resource() string { return r.QueueUrl }

type getQueueAttributes struct {
	onQueue
	AttributeNames []string
}

type queueAttributes struct {
	Attributes map[string]string `json:",omitempty"`
}

var queueAttributeNames = []string{
	"QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed",
	"CreatedTimestamp", "LastModifiedTimestamp", "VisibilityTimeout", "MaximumMessageSize", "MessageRetentionPeriod",
	"DelaySeconds", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy", "Policy", "SqsManagedSseEnabled", "KmsMasterKeyId",
	"KmsDataKeyReusePeriodSeconds",
}

func (q *queues) attributes(r getQueueAttributes) (*queueAttributes, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	found, err := q.find(r.QueueUrl)
	if err != nil {
		return nil, err
	}
	asked := r.AttributeNames
	if slices.Contains(asked, "All") {
		asked = queueAttributeNames
	}
	answer := &queueAttributes{Attributes: make(map[string]string)}
	for _, name := range asked {
		if !slices.Contains(queueAttributeNames, name) {
			return nil, refuse("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
		if value, ok := found.attribute(name, q.now()); ok {
			answer.Attributes[name] = value
		}
	}
	return answer, nil
}

// attribute returns one of queueAttributeNames; ok is false if it is not set.
func (q *queue) attribute(name string, now time.Time) (value string, ok bool) {
	seconds := func(d time.Duration) (string, bool) { return strconv.Itoa(int(d / time.Second)), true }
	count := func(match func(*message) bool) (string, bool) {
		n := 0
		for _, m := range q.messages {
			if match(m) {
				n++
			}
		}
		return strconv.Itoa(n), true
	}
	switch name {
	case "QueueArn":
		return q.arn(), true
	case "ApproximateNumberOfMessages":
		return count(func(m *message) bool { return !m.visible.After(now) })
	case "ApproximateNumberOfMessagesNotVisible":
		return count(func(m *message) bool { return m.inFlight(now) })
	case "ApproximateNumberOfMessagesDelayed":
		return count(func(m *message) bool { return m.visible.After(now) && m.received == 0 })
	case "CreatedTimestamp", "LastModifiedTimestamp":
		return strconv.FormatInt(q.created.Unix(), 10), true
	case "VisibilityTimeout":
		return seconds(q.visibility)
	case "DelaySeconds":
		return seconds(q.delay)
	case "MessageRetentionPeriod":
		return seconds(q.retention)
	case "ReceiveMessageWaitTimeSeconds":
		return seconds(q.wait)
	case "MaximumMessageSize":
		return strconv.Itoa(q.maxBytes), true
	case "RedrivePolicy":
		if q.deadLetters == "" {
			return "", false
		}
		if asSet, ok := q.opaque[name]; ok {
			return asSet, true
		}
		return fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, queueARN(q.deadLetters), q.maxReceiveCount), true
	}
	value, ok = q.opaque[name]
	return value, ok
}

func (m *message) inFlight(now time.Time) bool { return m.received > 0 && m.visible.After(now) }

// Sending

type outgoing struct {
	MessageBody    string
	DelaySeconds   *int
	MessageGroupId string // fair queues; orders nothing here
}

type sendMessage struct {
	onQueue
	outgoing
}

type sentMessage struct {
	MessageId        string
	MD5OfMessageBody string
}

func (q *queues) send(r sendMessage) (*sentMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	to, err := q.find(r.QueueUrl)
	if err != nil {
		return nil, err
	}
	if len(r.MessageBody) > to.maxBytes {
		return nil, badValue("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", to.maxBytes)
	}
	return q.add(to, r.outgoing)
}

// The caller holds the lock.
func (q *queues) add(to *queue, out outgoing) (*sentMessage, error) {
	delay := to.delay
	if out.DelaySeconds != nil {
		delay = time.Duration(*out.DelaySeconds) * time.Second
	}
	switch {
	case out.MessageBody == "":
		return nil, missingParameter("MessageBody")
	case strings.ContainsFunc(out.MessageBody, notOfXML):
		return nil, refuse("InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case delay < 0 || delay > maxDelay:
		return nil, badValue("Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.")
	}
	now := q.now()
	m := &message{id: newUUID(), body: out.MessageBody, sent: now, visible: now.Add(delay)}
	to.push(m)
	return &sentMessage{m.id, md5Of(m.body)}, nil
}

func (q *queue) push(m *message) {
	q.messagesEverAdded++
	m.order = q.messagesEverAdded
	q.byID[m.id] = m
	heap.Push(&q.messages, m)
}

func (q *queue) remove(m *message) {
	delete(q.byID, m.id)
	heap.Remove(&q.messages, m.index)
}

// hide makes a message visible at a later time, behind those visible by then.
func (q *queue) hide(m *message, until time.Time) {
	m.visible = until
	heap.Fix(&q.messages, m.index)
}

func notOfXML(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

func md5Of(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// Receiving

type receiveMessage struct {
	onQueue
	AttributeNames              []string
	MaxNumberOfMessages         *int
	MessageAttributeNames       []string // no message has any
	MessageSystemAttributeNames []string
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
}

type receivedMessage struct {
	MessageId     string
	ReceiptHandle string
	Body          string
	MD5OfBody     string
	Attributes    map[string]string `json:",omitempty"`
}

type receivedMessages struct {
	Messages []receivedMessage `json:",omitempty"`
}

func (q *queues) receive(ctx context.Context, r receiveMessage, _ entryFaults) (*receivedMessages, error) {
	q.mu.Lock()
	from, err := q.find(r.QueueUrl)
	if err != nil {
		q.mu.Unlock()
		return nil, err
	}
	most, hidden, wait := 1, from.visibility, from.wait
	q.mu.Unlock()
	if r.MaxNumberOfMessages != nil {
		most = *r.MaxNumberOfMessages
	}
	if r.VisibilityTimeout != nil {
		hidden = time.Duration(*r.VisibilityTimeout) * time.Second
	}
	if r.WaitTimeSeconds != nil {
		wait = time.Duration(*r.WaitTimeSeconds) * time.Second
	}
	switch {
	case most < 1 || most > maxBatch:
		return nil, badValue("Value for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.")
	case hidden < 0 || hidden > maxVisibility:
		return nil, badVisibility()
	case wait < 0 || wait > maxWait:
		return nil, badValue("Value for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.")
	}
	names := slices.Concat(r.AttributeNames, r.MessageSystemAttributeNames)
	for end := time.Now().Add(wait); ; {
		q.mu.Lock()
		taken := q.take(from, most, hidden)
		messages := make([]receivedMessage, 0, len(taken))
		for _, m := range taken {
			messages = append(messages, m.handOut(names))
		}
		q.mu.Unlock()
		if len(messages) > 0 || !time.Now().Before(end) {
			return &receivedMessages{messages}, nil
		}
		if !sleep(ctx, min(receiveInterval, time.Until(end))) {
			return &receivedMessages{}, nil
		}
	}
}

// take hides and returns visible messages, moves those received too often to the dead-letter queue, and drops expired
// ones. The caller holds the lock.
func (q *queues) take(from *queue, most int, hidden time.Duration) []*message {
	now := q.now()
	var taken []*message
	for len(taken) < most && len(from.messages) > 0 && !from.messages[0].visible.After(now) {
		m := from.messages[0]
		from.remove(m)
		if now.Sub(m.sent) >= from.retention {
			continue
		}
		if dead := q.byName[from.deadLetters]; dead != nil && m.received >= from.maxReceiveCount {
			m.visible = now
			dead.push(m)
			continue
		}
		if m.received == 0 {
			m.firstReceived = now
		}
		m.received++
		m.visible = now.Add(hidden)
		taken = append(taken, m)
	}
	// Push after the loop: a message with no visibility timeout is delivered only once per call.
	for _, m := range taken {
		from.push(m)
	}
	return taken
}

func (m *message) handOut(names []string) receivedMessage {
	all := map[string]string{
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.firstReceived.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.received),
		"SenderId":                         account,
		"SentTimestamp":                    strconv.FormatInt(m.sent.UnixMilli(), 10),
	}
	asked := all
	if !slices.Contains(names, "All") {
		asked = make(map[string]string)
		for _, name := range names {
			if value, ok := all[name]; ok {
				asked[name] = value
			}
		}
	}
	return receivedMessage{m.id, m.receipt(), m.body, md5Of(m.body), asked}
}

// receipt differs for each delivery of a message.
func (m *message) receipt() string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d", m.id, m.received))
}

// receivedAs returns the message of a receipt; nil if it was deleted or delivered again since. The caller holds the
// lock.
func (q *queue) receivedAs(receipt string) (*message, error) {
	raw, err := base64.StdEncoding.DecodeString(receipt)
	id, _, ok := strings.Cut(string(raw), " ")
	if err != nil || !ok {
		return nil, refuse("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	}
	if m := q.byID[id]; m != nil && m.receipt() == receipt {
		return m, nil
	}
	return nil, nil
}

type receiptOf struct{ ReceiptHandle string }

type deleteMessage struct {
	onQueue
	receiptOf
}

func (q *queues) delete(r deleteMessage) (struct{}, error) {
	return struct{}{}, q.withQueue(r.QueueUrl, func(from *queue) error { return from.delete(r.receiptOf) })
}

// delete also succeeds if the message is gone or was delivered again; the latter stays.
func (q *queue) delete(r receiptOf) error {
	m, err := q.receivedAs(r.ReceiptHandle)
	if m != nil {
		q.remove(m)
	}
	return err
}

type visibilityOf struct {
	receiptOf
	VisibilityTimeout int
}

type changeVisibility struct {
	onQueue
	visibilityOf
}

func (q *queues) changeVisibility(r changeVisibility) (struct{}, error) {
	return struct{}{}, q.withQueue(r.QueueUrl, func(of *queue) error { return of.changeVisibility(r.visibilityOf, q.now()) })
}

func (q *queue) changeVisibility(r visibilityOf, now time.Time) error {
	timeout := time.Duration(r.VisibilityTimeout) * time.Second
	if timeout < 0 || timeout > maxVisibility {
		return badVisibility()
	}
	m, err := q.receivedAs(r.ReceiptHandle)
	if err != nil {
		return err
	}
	if m == nil || !m.inFlight(now) {
		return batchRefusal("MessageNotInflight", "The message referred to isn't in flight.")
	}
	q.hide(m, now.Add(timeout))
	return nil
}

func badVisibility() *refusal {
	return badValue("Value for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and 43200.")
}

func (q *queues) withQueue(url string, do func(*queue) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	found, err := q.find(url)
	if err != nil {
		return err
	}
	return do(found)
}

// Batches

type batchID struct{ Id string }

func (b batchID) id() string { return b.Id }

type batchFailure struct {
	batchID
	Code        string
	Message     string
	SenderFault bool
}

type batchResult struct {
	Successful []any          `json:",omitempty"`
	Failed     []batchFailure `json:",omitempty"`
}

// inBatch processes the entries one by one; a failed entry does not affect the others.
func inBatch[E interface{ id() string }](entries []E, faults entryFaults, do func(E) (any, error)) (*batchResult, error) {
	switch {
	case len(entries) == 0:
		return nil, batchRefusal("EmptyBatchRequest", "There should be at least one entry in the request.")
	case len(entries) > maxBatch:
		return nil, batchRefusal("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxBatch, len(entries))
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		id := e.id()
		if id == "" || len(id) > 80 || strings.ContainsFunc(id, notOfID) {
			return nil, batchRefusal("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return nil, batchRefusal("BatchEntryIdsNotDistinct", "Id %s repeated.", id)
		}
		seen[id] = true
	}
	result := &batchResult{}
	for i, e := range entries {
		var done any
		var err error
		if faults.at(i) {
			err = &refusal{code: faults.code, message: "failed on request", status: http.StatusInternalServerError}
		} else {
			done, err = do(e)
		}
		var refused *refusal
		if errors.As(err, &refused) {
			code, fault, _ := strings.Cut(refused.queryError(), ";")
			result.Failed = append(result.Failed, batchFailure{batchID{e.id()}, code, refused.message, fault == "Sender"})
			continue
		}
		result.Successful = append(result.Successful, done)
	}
	return result, nil
}

func notOfID(r rune) bool { return !isAlphanumeric(r) && r != '-' && r != '_' }

type sendEntry struct {
	batchID
	outgoing
}

type sendBatch struct {
	onQueue
	Entries []sendEntry
}

type sentEntry struct {
	batchID
	*sentMessage
}

func (q *queues) sendBatch(_ context.Context, r sendBatch, faults entryFaults) (result *batchResult, err error) {
	err = q.withQueue(r.QueueUrl, func(to *queue) error {
		size := 0
		for _, e := range r.Entries {
			size += len(e.MessageBody)
		}
		if size > to.maxBytes {
			return batchRefusal("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", to.maxBytes, size)
		}
		result, err = inBatch(r.Entries, faults, func(e sendEntry) (any, error) {
			sent, err := q.add(to, e.outgoing)
			return sentEntry{e.batchID, sent}, err
		})
		return err
	})
	return result, err
}

type deleteEntry struct {
	batchID
	receiptOf
}

type deleteBatch struct {
	onQueue
	Entries []deleteEntry
}

func (q *queues) deleteBatch(_ context.Context, r deleteBatch, faults entryFaults) (result *batchResult, err error) {
	err = q.withQueue(r.QueueUrl, func(from *queue) error {
		result, err = inBatch(r.Entries, faults, func(e deleteEntry) (any, error) {
			return e.batchID, from.delete(e.receiptOf)
		})
		return err
	})
	return result, err
}

type visibilityEntry struct {
	batchID
	visibilityOf
}

type visibilityBatch struct {
	onQueue
	Entries []visibilityEntry
}

func (q *queues) changeVisibilityBatch(_ context.Context, r visibilityBatch, faults entryFaults) (result *batchResult, err error) {
	err = q.withQueue(r.QueueUrl, func(of *queue) error {
		result, err = inBatch(r.Entries, faults, func(e visibilityEntry) (any, error) {
			return e.batchID, of.changeVisibility(e.visibilityOf, q.now())
		})
		return err
	})
	return result, err
}
