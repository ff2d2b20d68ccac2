// Command kitex-peer is the real Kitex on the other end of the interop tests:
// a server and a client built on the unchanged Kitex module, plus a recorder of
// wire bytes and a load generator.
package main

import (
	"fmt"
	"os"

	"github.com/cloudwego/kitex/pkg/klog"
)

const usageText = `usage: kitex-peer COMMAND [flags]

  server         serve Interop and Second until SIGTERM
  client         run interop cases against a server
  record         write the bytes of requests and replies to files
  bench-client   load a server's Echo and print one JSON line
  stream-server  serve Streams until SIGTERM
  stream-client  run the cases of streams against a server
  bench-stream-client  send messages over streams and print one JSON line

"kitex-peer COMMAND -h" lists the flags of a command.
`

// Exit codes: 0 fine, 1 failed cases or a run-time error, 2 wrong usage.
const exitUsage = 2

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usageText)
		os.Exit(exitUsage)
	}
	commands := map[string]func(args []string) error{
		"server":       serverMain,
		"client":       clientMain,
		"record":       recordMain,
		"bench-client": benchMain,

		"stream-server": streamServerMain,
		"stream-client": streamClientMain,

		"bench-stream-client": benchStreamMain,
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "kitex-peer: unknown command %q\n%s", os.Args[1], usageText)
		os.Exit(exitUsage)
	}
	if err := run(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "kitex-peer %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// quietKitex keeps Kitex's own log off stderr unless verbose: many cases
// provoke errors, and Kitex logs each with a stack.
func quietKitex(verbose bool) {
	if verbose {
		klog.SetLevel(klog.LevelInfo)
		return
	}
	klog.SetLevel(klog.LevelFatal)
}
