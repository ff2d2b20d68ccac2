//go:build tools

// Package main pins the code generator in go.mod, so that build.sh builds the
// generator from the very module version the peer runs on. (`go install
// pkg@version` would do without this, but needs a version list from the module
// proxy, which not every proxy serves.)
package main

import _ "github.com/cloudwego/kitex/tool/cmd/kitex"
