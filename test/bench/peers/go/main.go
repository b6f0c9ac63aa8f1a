// Command peers appends the lines of a file to another append-only store and reads all of it back with its own checks.
//
//	peers ENGINE FILE DIR BATCH OUTSTANDING
//
// A batch counts when the store says that it is durable; OUTSTANDING batches wait at once. Prints one object.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A store under test. appendBatch returns when the lines are durable; several may run at once.
type peer interface {
	appendBatch(ctx context.Context, lines [][]byte) error
	// verify reads and checks everything, and fails unless it saw so many entries.
	verify(ctx context.Context, entries int) error
	close(ctx context.Context) error
}

var engines = map[string]func(ctx context.Context, dir string, batch int) (peer, error){
	"immudb":  openImmudb,
	"tessera": openTessera,
}

type cost struct{ wall, cpu float64 }

func measure(act func() error) (cost, error) {
	cpu, start := cpuSeconds(), time.Now()
	err := act()
	return cost{time.Since(start).Seconds(), cpuSeconds() - cpu}, err
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func appendAll(ctx context.Context, store peer, batches [][][]byte, outstanding int) error {
	queue := make(chan [][]byte)
	errs := make(chan error, outstanding)
	var workers sync.WaitGroup
	for range outstanding {
		workers.Go(func() {
			for batch := range queue {
				if err := store.appendBatch(ctx, batch); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for _, batch := range batches {
		select {
		case queue <- batch:
		case err := <-errs:
			return err
		}
	}
	close(queue)
	workers.Wait()
	close(errs)
	return <-errs
}

func run(args []string) error {
	if len(args) != 5 || engines[args[0]] == nil {
		return fmt.Errorf("peers immudb|tessera FILE DIR BATCH OUTSTANDING")
	}
	batch, err := strconv.Atoi(args[3])
	if err != nil || batch < 1 {
		return fmt.Errorf("BATCH: %q", args[3])
	}
	outstanding, err := strconv.Atoi(args[4])
	if err != nil || outstanding < 1 {
		return fmt.Errorf("OUTSTANDING: %q", args[4])
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	var batches [][][]byte
	for from := 0; from < len(lines); from += batch {
		batches = append(batches, lines[from:min(from+batch, len(lines))])
	}
	ctx := context.Background()
	store, err := engines[args[0]](ctx, args[2], batch)
	if err != nil {
		return err
	}
	appended, err := measure(func() error { return appendAll(ctx, store, batches, outstanding) })
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	verified, err := measure(func() error { return store.verify(ctx, len(lines)) })
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if err := store.close(ctx); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	rate := func(seconds float64) int { return int(float64(len(lines)) / seconds) }
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"engine": args[0], "entries": len(lines), "batch": batch, "outstanding": outstanding,
		"entriesPerSecond": rate(appended.wall), "entriesPerCpuSecond": rate(appended.cpu),
		"verifiedPerSecond": rate(verified.wall), "verifiedPerCpuSecond": rate(verified.cpu),
	})
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
