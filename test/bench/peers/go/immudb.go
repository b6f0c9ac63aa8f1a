package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/codenotary/immudb/embedded/logger"
	"github.com/codenotary/immudb/embedded/store"
)

// One transaction a batch, flushed before it returns; keys count up. By default a commit waits up to 20 ms for its flush.
const immudbSyncEvery = time.Millisecond

type immudb struct {
	store *store.ImmuStore
	key   atomic.Uint64
}

func openImmudb(_ context.Context, dir string, batch int) (peer, error) {
	options := store.DefaultOptions().
		WithSynced(true).
		WithSyncFrequency(immudbSyncEvery).
		WithMaxTxEntries(batch).
		WithLogger(logger.NewSimpleLogger("immudb", io.Discard))
	opened, err := store.Open(dir, options)
	if err != nil {
		return nil, err
	}
	return &immudb{store: opened}, nil
}

func (p *immudb) appendBatch(ctx context.Context, lines [][]byte) error {
	tx, err := p.store.NewWriteOnlyTx(ctx)
	if err != nil {
		return err
	}
	for _, line := range lines {
		var key [8]byte
		binary.BigEndian.PutUint64(key[:], p.key.Add(1))
		if err := tx.Set(key[:], nil, line); err != nil {
			return err
		}
	}
	// Durable when it returns; does not wait for the index.
	_, err = tx.AsyncCommit(ctx)
	return err
}

func (p *immudb) verify(_ context.Context, entries int) error {
	pool, err := p.store.NewTxHolderPool(1, false)
	if err != nil {
		return err
	}
	tx, err := pool.Alloc()
	if err != nil {
		return err
	}
	seen, last := 0, p.store.LastCommittedTxID()
	for id := uint64(1); id <= last; id++ {
		// Checks the hashes of the transaction against its header, then each value against its hash.
		if err := p.store.ReadTx(id, false, tx); err != nil {
			return err
		}
		for _, entry := range tx.Entries() {
			if _, err := p.store.ReadValue(entry); err != nil {
				return err
			}
			seen++
		}
	}
	if seen != entries {
		return fmt.Errorf("%d entries of %d", seen, entries)
	}
	return p.verifyChain(last)
}

// That the last transaction extends the first one.
func (p *immudb) verifyChain(last uint64) error {
	from, err := p.store.ReadTxHeader(1, false, false)
	if err != nil {
		return err
	}
	to, err := p.store.ReadTxHeader(last, false, false)
	if err != nil {
		return err
	}
	proof, err := p.store.DualProof(from, to)
	if err != nil {
		return err
	}
	if !store.VerifyDualProof(proof, 1, last, from.Alh(), to.Alh()) {
		return fmt.Errorf("the last transaction does not extend the first one")
	}
	return nil
}

func (p *immudb) close(context.Context) error { return p.store.Close() }
