// Package openapi holds the description of the hub's HTTP interface.
package openapi

import (
	_ "embed"
	"encoding/json"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var source []byte

// JSON returns the OpenAPI 3.1 document.
var JSON = sync.OnceValue(func() []byte {
	var doc map[string]any
	if err := yaml.Unmarshal(source, &doc); err != nil {
		panic("openapi.yaml: " + err.Error())
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic("openapi.yaml: " + err.Error())
	}
	return b
})
