package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const (
	tesseraOrigin = "bench.example/log"
	// The shortest that it takes.
	tesseraCheckpointEvery = 100 * time.Millisecond
	tesseraBatchMaxAge     = 10 * time.Millisecond
)

type tesseraLog struct {
	dir      string
	verifier note.Verifier
	appender *tessera.Appender
	reader   tessera.LogReader
	shutdown func(context.Context) error
}

func openTessera(ctx context.Context, dir string, batch int) (peer, error) {
	secret, public, err := note.GenerateKey(rand.Reader, tesseraOrigin)
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(uint(batch), tesseraBatchMaxAge).
		WithCheckpointInterval(tesseraCheckpointEvery)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return nil, err
	}
	return &tesseraLog{dir, verifier, appender, reader, shutdown}, nil
}

func (p *tesseraLog) appendBatch(ctx context.Context, lines [][]byte) error {
	futures := make([]tessera.IndexFuture, len(lines))
	for at, line := range lines {
		futures[at] = p.appender.Add(ctx, tessera.NewEntry(line))
	}
	for _, future := range futures {
		if _, err := future(); err != nil {
			return err
		}
	}
	return nil
}

func (p *tesseraLog) verify(ctx context.Context, entries int) error {
	if err := p.published(ctx, uint64(entries)); err != nil {
		return err
	}
	fetcher := client.FileFetcher{Root: p.dir}
	return fsck.New(tesseraOrigin, p.verifier, fetcher, leafHashes, fsck.Opts{N: 2}).Check(ctx)
}

func (p *tesseraLog) published(ctx context.Context, entries uint64) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		checkpoint, _, _, err := client.FetchCheckpoint(ctx, p.reader.ReadCheckpoint, p.verifier, tesseraOrigin)
		if err == nil && checkpoint.Size == entries {
			return nil
		}
	}
	return fmt.Errorf("no checkpoint of %d entries", entries)
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(entries.Entries))
	for at, entry := range entries.Entries {
		hashes[at] = rfc6962.DefaultHasher.HashLeaf(entry)
	}
	return hashes, nil
}

func (p *tesseraLog) close(ctx context.Context) error { return p.shutdown(ctx) }
