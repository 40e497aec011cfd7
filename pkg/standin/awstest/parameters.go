package awstest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	standardTier    = "Standard"
	advancedTier    = "Advanced"
	intelligentTier = "Intelligent-Tiering"

	maxStandardValue      = 4096 // bytes
	maxAdvancedValue      = 8192
	maxStandardParameters = 10_000 // an account and Region
	maxParameterVersions  = 100    // the oldest go
	maxParametersPage     = 10     // of GetParameters and GetParametersByPath
	maxParameterList      = 50     // of DescribeParameters and GetParameterHistory
	maxParameterLevels    = 15
	maxParameterName      = 1011

	secureString = "SecureString"
	user         = "arn:aws:iam::" + account + ":root" // who modified everything
)

// parameters are the parameters of an account and Region.
type parameters struct {
	now func() time.Time

	mu       sync.Mutex
	byName   map[string]*parameter
	names    names
	standard int // how many are of the standard tier
}

type parameter struct {
	name     string
	versions []parameterVersion // oldest first; the last is the current one
}

type parameterVersion struct {
	number      int64
	value       string
	kind        string // String, StringList or SecureString
	tier        string
	description string
	key         string
	modified    time.Time
}

func (p *parameter) latest() *parameterVersion { return &p.versions[len(p.versions)-1] }

func newParameters(now func() time.Time) *parameters {
	return &parameters{now: now, byName: make(map[string]*parameter)}
}

func (p *parameters) operations() map[string]operation {
	return map[string]operation{
		"DeleteParameter":     writing(on(p.delete)),
		"DescribeParameters":  on(p.describe),
		"GetParameter":        on(p.get),
		"GetParameterHistory": on(p.history),
		"GetParameters":       on(p.getSeveral),
		"GetParametersByPath": on(p.byPath),
		"PutParameter":        writing(on(p.put)),
	}
}

// SetParameter writes a new value of the existing type, or a String. It panics if SSM would refuse the value.
func (s *Server) SetParameter(name, value string) { s.setParameter(name, value, "String") }

// SetSecureParameter is SetParameter for a SecureString.
func (s *Server) SetSecureParameter(name, value string) {
	s.setParameter(name, value, secureString)
}

func (s *Server) setParameter(name, value, kind string) {
	if old, ok := s.parameters.lookUp(name); ok {
		kind = old.kind
	}
	tier := intelligentTier
	if _, err := s.parameters.put(putParameter{Name: name, Value: value, Type: kind, Overwrite: true, Tier: &tier}); err != nil {
		panic("awstest: set parameter " + strconv.Quote(name) + ": " + err.Error())
	}
}

// Parameter returns a parameter's decrypted value and its version, counted from 1; ok is false if it does not exist.
func (s *Server) Parameter(name string) (value string, version int64, ok bool) {
	v, ok := s.parameters.lookUp(name)
	return v.value, v.number, ok
}

// ParameterKey returns the KMS key of a parameter; empty for the AWS managed key.
func (s *Server) ParameterKey(name string) string {
	v, _ := s.parameters.lookUp(name)
	return v.key
}

// Parameters returns the decrypted values of all parameters whose names start with prefix.
func (s *Server) Parameters(prefix string) map[string]string {
	p := s.parameters
	p.mu.Lock()
	defer p.mu.Unlock()
	values := make(map[string]string)
	for _, name := range p.names.from(prefix) {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		values[name] = p.byName[name].latest().value
	}
	return values
}

func (p *parameters) lookUp(name string) (parameterVersion, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if par := p.byName[name]; par != nil {
		return *par.latest(), true
	}
	return parameterVersion{}, false
}

type parameterName struct{ Name string }

func (r parameterName) resource() string { return r.Name }

type putParameter struct {
	Name        string
	Value       string
	Type        string
	Overwrite   bool
	Tier        *string
	Description *string
	KeyId       *string
	DataType    *string
	Tags        []tag // taken and forgotten: no call here gives them back
}

func (r putParameter) resource() string { return r.Name }

type parameterWritten struct {
	Tier    string
	Version int64
}

func (p *parameters) put(r putParameter) (*parameterWritten, error) {
	if err := checkPutParameter(r); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	par := p.byName[r.Name]
	v := parameterVersion{
		number: 1, value: r.Value, kind: r.Type,
		description: text(r.Description), key: text(r.KeyId), modified: p.now(),
	}
	old := &parameterVersion{}
	if par != nil {
		if !r.Overwrite {
			return nil, refuse("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		}
		old = par.latest()
		v.number = old.number + 1
		v.kind = cmp.Or(v.kind, old.kind)
		v.description = cmp.Or(v.description, old.description)
		v.key = cmp.Or(v.key, old.key)
	} else if r.Type == "" {
		return nil, refuse("ValidationException", "A parameter type is required when you create a parameter.")
	}
	var err error
	if v.tier, err = p.tier(text(r.Tier), old.tier, len(r.Value)); err != nil {
		return nil, err
	}
	if old.tier == standardTier {
		p.standard--
	}
	if v.tier == standardTier {
		p.standard++
	}
	if par == nil {
		par = &parameter{name: r.Name}
		p.byName[r.Name] = par
		p.names.add(r.Name)
	}
	if len(par.versions) == maxParameterVersions {
		par.versions = slices.Delete(par.versions, 0, 1)
	}
	par.versions = append(par.versions, v)
	return &parameterWritten{v.tier, v.number}, nil
}

// tier chooses the tier for a value of size bytes. old is the parameter's tier, or empty; an advanced parameter never
// becomes standard again.
func (p *parameters) tier(asked, old string, size int) (string, error) {
	full := old == "" && p.standard >= maxStandardParameters
	tier := cmp.Or(asked, old, standardTier)
	if tier == intelligentTier {
		tier = standardTier
		if old == advancedTier || size > maxStandardValue || full {
			tier = advancedTier
		}
	}
	switch {
	case tier == standardTier && old == advancedTier:
		return "", refuse("ValidationException", "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier.")
	case tier == standardTier && size > maxStandardValue:
		return "", refuse("ValidationException", "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html")
	case size > maxAdvancedValue:
		return "", refuse("ValidationException", "Advanced tier parameters support a maximum parameter value of 8192 characters.")
	case tier == standardTier && full:
		return "", refuse("ParameterLimitExceeded", "You have exceeded the number of parameters for this AWS account.")
	}
	return tier, nil
}

type getParameter struct {
	Name           string
	WithDecryption bool
}

func (r getParameter) resource() string { return r.Name }

type parameterAnswer struct {
	ARN              string
	DataType         string
	LastModifiedDate epoch
	Name             string
	Selector         string `json:",omitempty"`
	Type             string
	Value            string
	Version          int64
}

func (par *parameter) answer(v *parameterVersion, decrypt bool) parameterAnswer {
	return parameterAnswer{
		ARN:              parameterARN(par.name),
		DataType:         "text",
		LastModifiedDate: epoch{v.modified},
		Name:             par.name,
		Type:             v.kind,
		Value:            v.shown(decrypt),
		Version:          v.number,
	}
}

func parameterARN(name string) string {
	return "arn:aws:ssm:" + region + ":" + account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// shown is the value for a caller: ciphertext without decryption.
func (v *parameterVersion) shown(decrypt bool) string {
	if v.kind != secureString || decrypt {
		return v.value
	}
	sum := sha256.Sum256([]byte(v.value))
	return "AQICAH" + base64.StdEncoding.EncodeToString(sum[:])
}

// find accepts a name, or a name and version, "name:3". The caller holds the lock.
func (p *parameters) find(selected string, decrypt bool) (parameterAnswer, error) {
	name, number, versioned := strings.Cut(selected, ":")
	par := p.byName[name]
	if par == nil {
		return parameterAnswer{}, refuse("ParameterNotFound", "")
	}
	if !versioned {
		return par.answer(par.latest(), decrypt), nil
	}
	for i := range par.versions {
		if v := &par.versions[i]; strconv.FormatInt(v.number, 10) == number {
			answer := par.answer(v, decrypt)
			answer.Selector = ":" + number
			return answer, nil
		}
	}
	return parameterAnswer{}, refuse("ParameterVersionNotFound", "Systems Manager could not find version %s of %s. Verify the version and try again.", number, name)
}

type oneParameter struct{ Parameter parameterAnswer }

func (p *parameters) get(r getParameter) (*oneParameter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := p.find(r.Name, r.WithDecryption)
	if err != nil {
		return nil, err
	}
	return &oneParameter{found}, nil
}

type getParameters struct {
	Names          []string
	WithDecryption bool
}

func (r getParameters) resource() string { return strings.Join(r.Names, ",") }

type severalParameters struct {
	InvalidParameters []string
	Parameters        []parameterAnswer
}

func (p *parameters) getSeveral(r getParameters) (*severalParameters, error) {
	if len(r.Names) < 1 || len(r.Names) > maxParametersPage {
		return nil, outOfRange("names", "length between 1 and 10")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	several := &severalParameters{InvalidParameters: []string{}, Parameters: []parameterAnswer{}}
	for _, name := range r.Names {
		if found, err := p.find(name, r.WithDecryption); err == nil {
			several.Parameters = append(several.Parameters, found)
		} else {
			several.InvalidParameters = append(several.InvalidParameters, name)
		}
	}
	// AWS guarantees no order. A fixed other order exposes callers that rely on the request's.
	slices.SortFunc(several.Parameters, func(a, b parameterAnswer) int { return strings.Compare(a.Name, b.Name) })
	return several, nil
}

type getParametersByPath struct {
	Path           string
	Recursive      bool
	WithDecryption bool
	MaxResults     *int
	NextToken      *string
}

func (r getParametersByPath) resource() string { return r.Path }

type parameterPage struct {
	Parameters []parameterAnswer
	NextToken  string `json:",omitempty"`
}

func (p *parameters) byPath(r getParametersByPath) (*parameterPage, error) {
	size, err := pageSize(r.MaxResults, maxParametersPage)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(r.Path, "/") {
		return nil, refuse("ValidationException", "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".")
	}
	prefix := strings.TrimSuffix(r.Path, "/") + "/"
	first := prefix
	if r.NextToken != nil {
		var ok bool
		if first, ok = readPageToken(*r.NextToken); !ok || !strings.HasPrefix(first, prefix) {
			return nil, refuse("InvalidNextToken", "The specified token isn't valid.")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	page := &parameterPage{Parameters: []parameterAnswer{}}
	for rest := p.names.from(first); len(rest) > 0 && strings.HasPrefix(rest[0], prefix); {
		name := rest[0]
		if below := strings.IndexByte(name[len(prefix):], '/'); below >= 0 && !r.Recursive {
			// Skip the whole branch: "0" comes right after "/".
			rest = rest.from(name[:len(prefix)+below] + "0")
			continue
		}
		if len(page.Parameters) == size {
			page.NextToken = pageToken(name)
			break
		}
		par := p.byName[name]
		page.Parameters = append(page.Parameters, par.answer(par.latest(), r.WithDecryption))
		rest = rest[1:]
	}
	return page, nil
}

type parameterFilter struct {
	Key    string
	Option string
	Values []string
}

type describeParameters struct {
	ParameterFilters []parameterFilter
	MaxResults       *int
	NextToken        *string
}

func (r describeParameters) resource() string { return "" }

type parameterMetadata struct {
	ARN              string
	DataType         string
	Description      string `json:",omitempty"`
	KeyId            string `json:",omitempty"`
	LastModifiedDate epoch
	LastModifiedUser string
	Name             string
	Tier             string
	Type             string
	Version          int64
}

type parameterList struct {
	Parameters []parameterMetadata
	NextToken  string `json:",omitempty"`
}

func (p *parameters) describe(r describeParameters) (*parameterList, error) {
	size, err := pageSize(r.MaxResults, maxParameterList)
	if err != nil {
		return nil, err
	}
	match := func(string) bool { return true }
	for _, f := range r.ParameterFilters {
		outer := match
		switch {
		case f.Key == "Name" && f.Option == "BeginsWith":
			match = func(name string) bool {
				return outer(name) && slices.ContainsFunc(f.Values, func(v string) bool { return strings.HasPrefix(name, v) })
			}
		case f.Key == "Name" && (f.Option == "Equals" || f.Option == ""):
			match = func(name string) bool { return outer(name) && slices.Contains(f.Values, name) }
		default:
			return nil, refuse("InvalidFilterKey", "the stand-in filters parameters by Name with Equals or BeginsWith only")
		}
	}
	first := ""
	if r.NextToken != nil {
		var ok bool
		if first, ok = readPageToken(*r.NextToken); !ok {
			return nil, refuse("InvalidNextToken", "The specified token isn't valid.")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	list := &parameterList{Parameters: []parameterMetadata{}}
	for _, name := range p.names.from(first) {
		if !match(name) {
			continue
		}
		if len(list.Parameters) == size {
			list.NextToken = pageToken(name)
			break
		}
		v := p.byName[name].latest()
		list.Parameters = append(list.Parameters, parameterMetadata{
			parameterARN(name), "text", v.description, v.keyShown(), epoch{v.modified}, user, name, v.tier, v.kind, v.number,
		})
	}
	return list, nil
}

func (v *parameterVersion) keyShown() string {
	if v.kind != secureString {
		return ""
	}
	return cmp.Or(v.key, "alias/aws/ssm")
}

func (p *parameters) delete(r parameterName) (struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	par := p.byName[r.Name]
	if par == nil {
		return struct{}{}, refuse("ParameterNotFound", "")
	}
	if par.latest().tier == standardTier {
		p.standard--
	}
	delete(p.byName, r.Name)
	p.names.remove(r.Name)
	return struct{}{}, nil
}

type getParameterHistory struct {
	Name           string
	WithDecryption bool
	MaxResults     *int
	NextToken      *string
}

func (r getParameterHistory) resource() string { return r.Name }

type parameterHistoryEntry struct {
	DataType         string
	Description      string `json:",omitempty"`
	KeyId            string `json:",omitempty"`
	LastModifiedDate epoch
	LastModifiedUser string
	Name             string
	Tier             string
	Type             string
	Value            string
	Version          int64
}

type parameterHistory struct {
	Parameters []parameterHistoryEntry
	NextToken  string `json:",omitempty"`
}

func (p *parameters) history(r getParameterHistory) (*parameterHistory, error) {
	size, err := pageSize(r.MaxResults, maxParameterList)
	if err != nil {
		return nil, err
	}
	first := int64(1)
	if r.NextToken != nil {
		number, ok := readPageToken(*r.NextToken)
		if first, err = strconv.ParseInt(number, 10, 64); !ok || err != nil {
			return nil, refuse("InvalidNextToken", "The specified token isn't valid.")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	par := p.byName[r.Name]
	if par == nil {
		return nil, refuse("ParameterNotFound", "")
	}
	history := &parameterHistory{Parameters: []parameterHistoryEntry{}}
	for i := range par.versions {
		v := &par.versions[i]
		if v.number < first {
			continue
		}
		if len(history.Parameters) == size {
			history.NextToken = pageToken(strconv.FormatInt(v.number, 10))
			break
		}
		history.Parameters = append(history.Parameters, parameterHistoryEntry{
			"text", v.description, v.keyShown(), epoch{v.modified}, user,
			par.name, v.tier, v.kind, v.shown(r.WithDecryption), v.number,
		})
	}
	return history, nil
}

func checkPutParameter(r putParameter) error {
	if err := checkParameterName(r.Name); err != nil {
		return err
	}
	switch {
	case r.Value == "":
		return outOfRange("value", "length greater than or equal to 1")
	case r.Type != "" && r.Type != "String" && r.Type != "StringList" && r.Type != secureString:
		return outOfRange("type", "a value of [SecureString, StringList, String]")
	case r.Tier != nil && *r.Tier != standardTier && *r.Tier != advancedTier && *r.Tier != intelligentTier:
		return outOfRange("tier", "a value of [Intelligent-Tiering, Advanced, Standard]")
	case r.DataType != nil && *r.DataType != "text":
		return refuse("ValidationException", "the stand-in knows the data type text only")
	case r.Overwrite && len(r.Tags) > 0:
		return refuse("ValidationException", "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	}
	return nil
}

func checkParameterName(name string) error {
	bad := func(why string) error { return refuse("ValidationException", "Parameter name: %s", why) }
	if name == "" || len(name) > maxParameterName {
		return bad(fmt.Sprintf("must have length between 1 and %d", maxParameterName))
	}
	for _, r := range name {
		if !isAlphanumeric(r) && !strings.ContainsRune("/_.-", r) {
			return bad("can be formed as a mix of letters, numbers and the following 3 symbols .-_, divided by slash symbols")
		}
	}
	if strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		return bad("must be a fully qualified name")
	}
	if strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
		return bad("must not have an empty level")
	}
	if strings.Count(name, "/") > maxParameterLevels {
		return bad("can have at most 15 levels")
	}
	root := strings.ToLower(strings.TrimPrefix(name, "/"))
	if strings.HasPrefix(root, "aws") && strings.Contains(root, "/") {
		return refuse("AccessDeniedException", "No access to reserved parameter name: %s.", name)
	}
	if strings.HasPrefix(root, "aws") || strings.HasPrefix(root, "ssm") {
		return bad(`can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	}
	return nil
}
