package awstest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"

	maxSecret        = 65536 // bytes of a value
	maxSecretBatch   = 20
	maxSecretPage    = 100
	keptVersions     = 100 // unlabelled ones above this go once they are a day old
	recoveryDays     = 30
	minSecretToken   = 32
	maxSecretToken   = 64
	maxSecretName    = 512
	maxVersionStages = 20
)

// SecretVersion is a current or former value of a secret.
type SecretVersion struct {
	ID      string
	Value   string   // SecretString, or the bytes of SecretBinary
	Stages  []string // in order; none: superseded twice, not yet purged
	Created time.Time
}

// secrets are the secrets of an account and Region.
type secrets struct {
	now func() time.Time

	mu     sync.Mutex
	byName map[string]*secret
	names  names
}

type secret struct {
	arn, name, description, kmsKey string
	tags                           []tag
	created, changed, deleteAfter  time.Time
	accessed                       time.Time // by the day
	versions                       []*version
	stages                         map[string]*version
}

type version struct {
	id      string
	text    *string
	binary  []byte
	created time.Time

	accessed time.Time // by the day
}

type tag struct{ Key, Value string }

func newSecrets(now func() time.Time) *secrets {
	return &secrets{now: now, byName: make(map[string]*secret)}
}

func (s *secrets) operations() map[string]operation {
	return map[string]operation{
		"BatchGetSecretValue":      on(s.batchGet),
		"CreateSecret":             writing(on(s.create)),
		"DeleteSecret":             writing(on(s.delete)),
		"DescribeSecret":           on(s.describe),
		"GetSecretValue":           on(s.get),
		"ListSecretVersionIds":     on(s.listVersions),
		"ListSecrets":              on(s.list),
		"PutSecretValue":           writing(on(s.put)),
		"UpdateSecretVersionStage": writing(on(s.moveStage)),
	}
}

// SetSecret writes a value as CreateSecret or PutSecretValue would and returns the version's id.
func (s *Server) SetSecret(name, value string) (versionID string) {
	st := s.secrets
	st.mu.Lock()
	defer st.mu.Unlock()
	sec := st.byName[name]
	if sec == nil {
		sec = st.insert(name)
	}
	sec.deleteAfter = time.Time{}
	v := &version{id: newUUID(), text: &value, created: st.now()}
	sec.store(v, []string{current})
	return v.id
}

// Secret returns a secret's current value and version id; ok is false if it does not exist or is marked for deletion.
func (s *Server) Secret(name string) (value, versionID string, ok bool) {
	st := s.secrets
	st.mu.Lock()
	defer st.mu.Unlock()
	sec, err := st.usable(name)
	if err != nil || sec.stages[current] == nil {
		return "", "", false
	}
	v := sec.stages[current]
	return v.value(), v.id, true
}

// SecretKey returns the KMS key that a secret was created with; empty for the AWS managed key.
func (s *Server) SecretKey(name string) string {
	st := s.secrets
	st.mu.Lock()
	defer st.mu.Unlock()
	sec, err := st.usable(name)
	if err != nil {
		return ""
	}
	return sec.kmsKey
}

// SecretVersions returns all remaining versions of a secret, oldest first.
func (s *Server) SecretVersions(name string) []SecretVersion {
	st := s.secrets
	st.mu.Lock()
	defer st.mu.Unlock()
	sec, err := st.find(name)
	if err != nil {
		return nil
	}
	all := make([]SecretVersion, 0, len(sec.versions))
	for _, v := range sec.versions {
		all = append(all, SecretVersion{ID: v.id, Value: v.value(), Stages: sec.stagesOf(v), Created: v.created})
	}
	return all
}

func (v *version) value() string {
	if v.text != nil {
		return *v.text
	}
	return string(v.binary)
}

func (v *version) same(text *string, binary []byte) bool {
	if (v.text == nil) != (text == nil) || text != nil && *v.text != *text {
		return false
	}
	return bytes.Equal(v.binary, binary)
}

// Errors

func noSecret() *refusal {
	return refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func badParameter(format string, args ...any) *refusal {
	return refuse("InvalidParameterException", format, args...)
}

func badRequest(format string, args ...any) *refusal {
	return refuse("InvalidRequestException", format, args...)
}

// Lookup. The caller holds the lock.

// insert creates a secret without a value.
func (s *secrets) insert(name string) *secret {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	suffix := make([]byte, 6)
	for i := range suffix {
		suffix[i] = letters[rand.IntN(len(letters))]
	}
	now := s.now()
	sec := &secret{
		arn:     "arn:aws:secretsmanager:" + region + ":" + account + ":secret:" + name + "-" + string(suffix),
		name:    name,
		created: now, changed: now,
		stages: make(map[string]*version),
	}
	s.byName[name] = sec
	s.names.add(name)
	return sec
}

func (s *secrets) remove(sec *secret) {
	delete(s.byName, sec.name)
	s.names.remove(sec.name)
}

// find accepts a name, an ARN, or an ARN without its random suffix.
func (s *secrets) find(id string) (*secret, error) {
	name := id
	if strings.HasPrefix(id, "arn:") {
		name = id[strings.LastIndexByte(id, ':')+1:]
	}
	sec := s.alive(name)
	if sec == nil && name != id && len(name) > 7 && name[len(name)-7] == '-' {
		if sec = s.alive(name[:len(name)-7]); sec != nil && sec.arn != id {
			sec = nil
		}
	}
	if sec == nil {
		return nil, noSecret()
	}
	return sec, nil
}

// alive finds a secret by name unless its recovery window has ended.
func (s *secrets) alive(name string) *secret {
	sec := s.byName[name]
	if sec != nil && s.gone(sec) {
		s.remove(sec)
		return nil
	}
	return sec
}

func (s *secrets) gone(sec *secret) bool {
	return sec.deleted() && !s.now().Before(sec.deleteAfter)
}

// usable is find for calls that a secret marked for deletion refuses.
func (s *secrets) usable(id string) (*secret, error) {
	sec, err := s.find(id)
	if err == nil && sec.deleted() {
		return nil, badRequest("You can't perform this operation on the secret because it was marked for deletion.")
	}
	return sec, err
}

func (sec *secret) deleted() bool { return !sec.deleteAfter.IsZero() }

func (sec *secret) version(id string) *version {
	for _, v := range sec.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

func (sec *secret) stagesOf(v *version) []string {
	var stages []string
	for stage, holder := range sec.stages {
		if holder == v {
			stages = append(stages, stage)
		}
	}
	slices.Sort(stages)
	return stages
}

// store adds a version and moves the stages to it.
func (sec *secret) store(v *version, stages []string) {
	first := len(sec.versions) == 0
	sec.versions = append(sec.versions, v)
	sec.changed = v.created
	for _, stage := range stages {
		sec.move(stage, v)
	}
	if first {
		sec.move(current, v)
	}
	sec.purge(v.created)
}

// move moves a stage to a version. AWSPREVIOUS follows AWSCURRENT.
func (sec *secret) move(stage string, to *version) {
	holder := sec.stages[stage]
	if holder == to {
		return
	}
	sec.stages[stage] = to
	if stage != current || holder == nil {
		return
	}
	sec.stages[previous] = holder
}

// purge drops the oldest versions without a stage.
func (sec *secret) purge(now time.Time) {
	for i := 0; i < len(sec.versions) && len(sec.versions) > keptVersions; {
		v := sec.versions[i]
		if now.Sub(v.created) < 24*time.Hour {
			return
		}
		if len(sec.stagesOf(v)) > 0 {
			i++
			continue
		}
		sec.versions = slices.Delete(sec.versions, i, i+1)
	}
}

// Operations

type secretID struct{ SecretId string }

func (r secretID) resource() string { return r.SecretId }

// secretRef identifies a secret in a response.
type secretRef struct{ ARN, Name string }

func (sec *secret) ref() secretRef { return secretRef{sec.arn, sec.name} }

type createSecret struct {
	Name               string
	ClientRequestToken *string
	Description        *string
	KmsKeyId           *string
	SecretString       *string
	SecretBinary       []byte
	Tags               []tag
}

func (r createSecret) resource() string { return r.Name }

type secretWritten struct {
	secretRef
	VersionId     string   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
}

func (s *secrets) create(r createSecret) (*secretWritten, error) {
	if !validSecretName(r.Name) {
		return nil, refuse("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	if err := checkSecretValue(r.SecretString, r.SecretBinary); err != nil {
		return nil, err
	}
	token, err := checkRequestToken(r.ClientRequestToken)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.alive(r.Name); sec != nil {
		if sec.deleted() {
			return nil, badRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
		}
		if v := sec.version(token); v != nil && v.same(r.SecretString, r.SecretBinary) {
			return &secretWritten{secretRef: sec.ref(), VersionId: v.id}, nil
		}
		return nil, refuse("ResourceExistsException", "The operation failed because the secret %s already exists.", r.Name)
	}
	sec := s.insert(r.Name)
	sec.description, sec.kmsKey, sec.tags = text(r.Description), text(r.KmsKeyId), r.Tags
	if r.SecretString == nil && r.SecretBinary == nil {
		return &secretWritten{secretRef: sec.ref()}, nil
	}
	sec.store(&version{id: token, text: r.SecretString, binary: r.SecretBinary, created: s.now()}, nil)
	return &secretWritten{secretRef: sec.ref(), VersionId: token}, nil
}

type putSecretValue struct {
	secretID
	ClientRequestToken *string
	SecretString       *string
	SecretBinary       []byte
	VersionStages      []string
}

func (s *secrets) put(r putSecretValue) (*secretWritten, error) {
	if r.SecretString == nil && r.SecretBinary == nil {
		return nil, badRequest("You must provide either SecretString or SecretBinary.")
	}
	if err := checkSecretValue(r.SecretString, r.SecretBinary); err != nil {
		return nil, err
	}
	if r.VersionStages != nil && (len(r.VersionStages) == 0 || len(r.VersionStages) > maxVersionStages) {
		return nil, outOfRange("versionStages", "length between 1 and 20")
	}
	token, err := checkRequestToken(r.ClientRequestToken)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.usable(r.SecretId)
	if err != nil {
		return nil, err
	}
	v := sec.version(token)
	if v == nil {
		stages := r.VersionStages
		if stages == nil {
			stages = []string{current}
		}
		v = &version{id: token, text: r.SecretString, binary: r.SecretBinary, created: s.now()}
		sec.store(v, stages)
	} else if !v.same(r.SecretString, r.SecretBinary) {
		// A repeat with the same value is ignored, and moves no stage.
		return nil, refuse("ResourceExistsException", "You can't use the ClientRequestToken %s because it belongs to a version with another value.", token)
	}
	return &secretWritten{sec.ref(), v.id, sec.stagesOf(v)}, nil
}

type getSecretValue struct {
	secretID
	VersionId    *string
	VersionStage *string
}

type secretValue struct {
	secretRef
	CreatedDate   epoch
	SecretBinary  []byte  `json:",omitempty"`
	SecretString  *string `json:",omitempty"`
	VersionId     string
	VersionStages []string `json:",omitempty"`
}

func (s *secrets) get(r getSecretValue) (*secretValue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(r)
}

// The caller holds the lock.
func (s *secrets) read(r getSecretValue) (*secretValue, error) {
	sec, err := s.usable(r.SecretId)
	if err != nil {
		return nil, err
	}
	var v *version
	switch {
	case r.VersionId != nil:
		if v = sec.version(*r.VersionId); v == nil {
			return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", *r.VersionId)
		}
		if r.VersionStage != nil && sec.stages[*r.VersionStage] != v {
			return nil, badRequest("You provided a VersionStage that is not associated to the provided VersionId.")
		}
	default:
		stage := current
		if r.VersionStage != nil {
			stage = *r.VersionStage
		}
		if v = sec.stages[stage]; v == nil {
			return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", stage)
		}
	}
	sec.accessed = s.now().UTC().Truncate(24 * time.Hour)
	v.accessed = sec.accessed
	return &secretValue{sec.ref(), epoch{v.created}, v.binary, v.text, v.id, sec.stagesOf(v)}, nil
}

type moveStage struct {
	secretID
	VersionStage        string
	MoveToVersionId     *string
	RemoveFromVersionId *string
}

// moveStage is UpdateSecretVersionStage. With both ids it is a compare-and-swap of the stage's version; a refused call
// changes nothing.
func (s *secrets) moveStage(r moveStage) (secretRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.usable(r.SecretId)
	if err != nil {
		return secretRef{}, err
	}
	stage, holder := r.VersionStage, sec.stages[r.VersionStage]
	if stage == "" {
		return secretRef{}, outOfRange("versionStage", "length greater than or equal to 1")
	}
	var from, to *version
	if r.RemoveFromVersionId != nil {
		if from = sec.version(*r.RemoveFromVersionId); from == nil {
			return secretRef{}, badParameter("Not a valid version: %s", *r.RemoveFromVersionId)
		}
		if from != holder {
			return secretRef{}, badParameter("The staging label %s isn't attached to version %s, so it can't be removed from there.", stage, from.id)
		}
	}
	if r.MoveToVersionId != nil {
		if to = sec.version(*r.MoveToVersionId); to == nil {
			return secretRef{}, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", *r.MoveToVersionId)
		}
	}
	if holder != nil && from == nil && to != holder {
		return secretRef{}, badParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, holder.id)
	}
	switch {
	case to != nil:
		sec.move(stage, to)
	case stage == current:
		return secretRef{}, badParameter("You can only move staging label %s to a different secret version. It can't be completely removed.", current)
	default:
		delete(sec.stages, stage)
	}
	sec.changed = s.now()
	return sec.ref(), nil
}

// secretMetadata describes a secret in DescribeSecret and ListSecrets.
type secretMetadata struct {
	secretRef
	CreatedDate            epoch
	LastChangedDate        epoch
	LastAccessedDate       *epoch              `json:",omitempty"`
	DeletedDate            *epoch              `json:",omitempty"`
	Description            string              `json:",omitempty"`
	KmsKeyId               string              `json:",omitempty"`
	Tags                   []tag               `json:",omitempty"`
	VersionIdsToStages     map[string][]string `json:",omitempty"`
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (sec *secret) metadata() secretMetadata {
	m := secretMetadata{
		secretRef:   sec.ref(),
		CreatedDate: epoch{sec.created}, LastChangedDate: epoch{sec.changed},
		Description: sec.description, KmsKeyId: sec.kmsKey, Tags: sec.tags,
	}
	m.LastAccessedDate, m.DeletedDate = epochOf(sec.accessed), epochOf(sec.deleteAfter)
	return m
}

func (sec *secret) labelled() map[string][]string {
	labelled := make(map[string][]string)
	for _, stage := range slices.Sorted(maps.Keys(sec.stages)) {
		id := sec.stages[stage].id
		labelled[id] = append(labelled[id], stage)
	}
	return labelled
}

func (s *secrets) describe(r secretID) (secretMetadata, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.find(r.SecretId)
	if err != nil {
		return secretMetadata{}, err
	}
	m := sec.metadata()
	m.VersionIdsToStages = sec.labelled()
	return m, nil
}

type secretFilter struct {
	Key    string
	Values []string
}

type listSecrets struct {
	Filters                []secretFilter
	IncludePlannedDeletion bool
	MaxResults             *int
	NextToken              *string
}

func (r listSecrets) resource() string { return "" }

type secretList struct {
	SecretList []secretMetadata
	NextToken  string `json:",omitempty"`
}

func (s *secrets) list(r listSecrets) (*secretList, error) {
	size, err := pageSize(r.MaxResults, maxSecretPage)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	page, next, err := s.page(r.Filters, size, r.NextToken, r.IncludePlannedDeletion)
	if err != nil {
		return nil, err
	}
	list := &secretList{SecretList: make([]secretMetadata, 0, len(page)), NextToken: next}
	for _, sec := range page {
		m := sec.metadata()
		m.SecretVersionsToStages = sec.labelled()
		list.SecretList = append(list.SecretList, m)
	}
	return list, nil
}

// page returns the secrets that match the filters, sorted by name. The caller holds the lock.
func (s *secrets) page(filters []secretFilter, size int, token *string, withDeleted bool) (page []*secret, next string, err error) {
	for _, f := range filters {
		if f.Key != "name" {
			return nil, "", refuse("ValidationException", "the stand-in filters secrets by name only")
		}
	}
	first := ""
	if token != nil {
		var ok bool
		if first, ok = readPageToken(*token); !ok {
			return nil, "", refuse("InvalidNextTokenException", "The NextToken is invalid.")
		}
	}
	// A single prefix, the usual case, bounds the walk.
	prefix := ""
	if len(filters) == 1 && len(filters[0].Values) == 1 && !strings.HasPrefix(filters[0].Values[0], "!") {
		prefix = filters[0].Values[0]
	}
	for _, name := range s.names.from(max(first, prefix)) {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		sec := s.byName[name]
		if sec.deleted() && (!withDeleted || s.gone(sec)) || !matches(name, filters) {
			continue
		}
		if len(page) == size {
			return page, pageToken(name), nil
		}
		page = append(page, sec)
	}
	return page, "", nil
}

// matches reports whether each filter has a value that is a prefix of the name, or after "!" is not.
func matches(name string, filters []secretFilter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(value string) bool {
			prefix, not := strings.CutPrefix(value, "!")
			return strings.HasPrefix(name, prefix) != not
		}) {
			return false
		}
	}
	return true
}

type batchGetSecretValue struct {
	SecretIdList []string
	Filters      []secretFilter
	MaxResults   *int
	NextToken    *string
}

func (r batchGetSecretValue) resource() string { return strings.Join(r.SecretIdList, ",") }

type secretError struct{ ErrorCode, Message, SecretId string }

type secretBatch struct {
	Errors       []secretError
	SecretValues []*secretValue
	NextToken    string `json:",omitempty"`
}

func (s *secrets) batchGet(r batchGetSecretValue) (*secretBatch, error) {
	switch {
	case r.SecretIdList != nil && r.Filters != nil:
		return nil, badParameter("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case r.SecretIdList == nil && r.Filters == nil:
		return nil, badParameter("Either 'SecretIdList' or 'Filters' must be provided.")
	case r.MaxResults != nil && r.Filters == nil:
		return nil, badParameter("'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	case r.Filters == nil && (len(r.SecretIdList) < 1 || len(r.SecretIdList) > maxSecretBatch):
		return nil, outOfRange("secretIdList", "length between 1 and 20")
	}
	size, err := pageSize(r.MaxResults, maxSecretBatch)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := r.SecretIdList
	batch := &secretBatch{Errors: []secretError{}, SecretValues: []*secretValue{}}
	if r.Filters != nil {
		page, next, err := s.page(r.Filters, size, r.NextToken, false)
		if err != nil {
			return nil, err
		}
		for _, sec := range page {
			ids = append(ids, sec.name)
		}
		batch.NextToken = next
	}
	for _, id := range ids {
		value, err := s.read(getSecretValue{secretID: secretID{id}})
		if err != nil {
			refused := err.(*refusal)
			batch.Errors = append(batch.Errors, secretError{refused.code, refused.message, id})
			continue
		}
		batch.SecretValues = append(batch.SecretValues, value)
	}
	return batch, nil
}

type listSecretVersionIDs struct {
	secretID
	IncludeDeprecated bool
	MaxResults        *int
	NextToken         *string
}

type secretVersionEntry struct {
	VersionId        string
	VersionStages    []string `json:",omitempty"`
	CreatedDate      epoch
	LastAccessedDate *epoch `json:",omitempty"`
}

type secretVersionList struct {
	secretRef
	Versions  []secretVersionEntry
	NextToken string `json:",omitempty"`
}

func (s *secrets) listVersions(r listSecretVersionIDs) (*secretVersionList, error) {
	size, err := pageSize(r.MaxResults, maxSecretPage)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.find(r.SecretId)
	if err != nil {
		return nil, err
	}
	versions := sec.versions
	if r.NextToken != nil {
		id, ok := readPageToken(*r.NextToken)
		i := slices.IndexFunc(versions, func(v *version) bool { return v.id == id })
		if !ok || i < 0 {
			return nil, refuse("InvalidNextTokenException", "The NextToken is invalid.")
		}
		versions = versions[i:]
	}
	list := &secretVersionList{secretRef: sec.ref(), Versions: []secretVersionEntry{}}
	for _, v := range versions {
		stages := sec.stagesOf(v)
		if len(stages) == 0 && !r.IncludeDeprecated {
			continue
		}
		if len(list.Versions) == size {
			list.NextToken = pageToken(v.id)
			break
		}
		list.Versions = append(list.Versions, secretVersionEntry{v.id, stages, epoch{v.created}, epochOf(v.accessed)})
	}
	return list, nil
}

type deleteSecret struct {
	secretID
	ForceDeleteWithoutRecovery bool
	RecoveryWindowInDays       *int
}

type secretDeleted struct {
	secretRef
	DeletionDate epoch
}

func (s *secrets) delete(r deleteSecret) (*secretDeleted, error) {
	days := recoveryDays
	if r.RecoveryWindowInDays != nil {
		if r.ForceDeleteWithoutRecovery {
			return nil, badParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if days = *r.RecoveryWindowInDays; days < 7 || days > 30 {
			return nil, badParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	sec, err := s.find(r.SecretId)
	switch {
	case err != nil && r.ForceDeleteWithoutRecovery:
		// A forced deletion succeeds even if there is no such secret.
		return &secretDeleted{secretRef{"", r.SecretId}, epoch{now}}, nil
	case err != nil:
		return nil, err
	case r.ForceDeleteWithoutRecovery:
		s.remove(sec)
		return &secretDeleted{sec.ref(), epoch{now}}, nil
	case sec.deleted():
		return nil, badRequest("You can't perform this operation on the secret because it was already scheduled for deletion.")
	}
	sec.deleteAfter = now.AddDate(0, 0, days)
	return &secretDeleted{sec.ref(), epoch{sec.deleteAfter}}, nil
}

// Checks

func validSecretName(name string) bool {
	if name == "" || len(name) > maxSecretName {
		return false
	}
	for _, r := range name {
		if !isAlphanumeric(r) && !strings.ContainsRune("/_+=.@-!", r) {
			return false
		}
	}
	return true
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func checkSecretValue(text *string, binary []byte) error {
	switch {
	case text != nil && binary != nil:
		return badParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case text != nil && len(*text) > maxSecret:
		return outOfRange("secretString", "length less than or equal to 65536")
	case len(binary) > maxSecret:
		return outOfRange("secretBinary", "length less than or equal to 65536")
	}
	return nil
}

// checkRequestToken returns the new version's id.
func checkRequestToken(token *string) (string, error) {
	switch {
	case token == nil:
		return "", badParameter("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	case len(*token) < minSecretToken || len(*token) > maxSecretToken:
		return "", badParameter("ClientRequestToken must be 32-64 characters long.")
	}
	return *token, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
