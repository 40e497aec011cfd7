package api

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"wechat-draftbox/pkg/fault"
)

// described is what the tests here read of the OpenAPI document.
type described struct {
	Paths map[string]map[string]struct {
		OperationID string                `yaml:"operationId"`
		Security    []map[string][]string `yaml:"security"`
	} `yaml:"paths"`
	Components struct {
		Schemas struct {
			Problem struct {
				Description string `yaml:"description"`
				Properties  struct {
					Type struct {
						Enum []string `yaml:"enum"`
					} `yaml:"type"`
				} `yaml:"properties"`
			} `yaml:"Problem"`
		} `yaml:"schemas"`
	} `yaml:"components"`
}

func readDocument(t *testing.T) described {
	t.Helper()
	text := OpenAPI()
	// A path's own parameters stand among its methods and have another shape.
	text = regexp.MustCompile(`(?m)^    parameters: .*\n`).ReplaceAllString(text, "")
	var d described
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The document has the routes of the template, each as guarded as there, and no others.
func TestDocumentedRoutes(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Properties struct {
				DefinitionBody struct {
					Paths map[string]map[string]any `yaml:"paths"`
				} `yaml:"DefinitionBody"`
				Events map[string]struct {
					Type       string `yaml:"Type"`
					Properties struct {
						Method string `yaml:"Method"`
						Path   string `yaml:"Path"`
					} `yaml:"Properties"`
				} `yaml:"Events"`
			} `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	// Resources of other kinds use these names for other shapes; what can be read is read.
	if err := yaml.Unmarshal(content, &template); err != nil && template.Resources == nil {
		t.Fatal(err)
	}
	deployed := map[string]string{}
	for _, resource := range template.Resources {
		for _, event := range resource.Properties.Events {
			if event.Type == "HttpApi" {
				deployed[event.Properties.Method+" "+event.Properties.Path] = "open"
			}
		}
	}
	for path, methods := range template.Resources["Api"].Properties.DefinitionBody.Paths {
		for method := range methods {
			deployed[strings.ToUpper(method)+" "+path] = "guarded"
		}
	}
	if len(deployed) == 0 {
		t.Fatal("no routes were found in the template")
	}

	documented := map[string]string{}
	ids := map[string]string{}
	for path, methods := range readDocument(t).Paths {
		for method, operation := range methods {
			key := strings.ToUpper(method) + " " + path
			documented[key] = "guarded"
			if operation.Security != nil && len(operation.Security) == 0 {
				documented[key] = "open"
			}
			if other, taken := ids[operation.OperationID]; taken || operation.OperationID == "" {
				t.Errorf("%s has the operationId %q, as %s", key, operation.OperationID, other)
			}
			ids[operation.OperationID] = key
		}
	}
	if diff := cmp.Diff(deployed, documented); diff != "" {
		t.Errorf("routes (-template +document):\n%s", diff)
	}
}

// The document names each problem there is, with its status.
func TestDocumentedProblems(t *testing.T) {
	t.Parallel()
	problem := readDocument(t).Components.Schemas.Problem
	var enum []fault.Kind
	for _, slug := range problem.Properties.Type.Enum {
		enum = append(enum, fault.Kind(strings.TrimPrefix(slug, "urn:wechat-draftbox:")))
	}
	slices.Sort(enum)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(kinds)), enum); diff != "" {
		t.Errorf("problem types (-bundle +document):\n%s", diff)
	}
	for slug, kind := range kinds {
		if row := fmt.Sprintf("| %d | %s |", kind.status, slug); !strings.Contains(problem.Description, row) {
			t.Errorf("the document's table has no row %q", row)
		}
	}
}
