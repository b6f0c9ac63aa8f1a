// Reads a root log as files, checkpoint and proofs with golang.org/x/mod/sumdb (tlog and note), which knows nothing of
// the code under test: go run . DIR CLAIMS.json
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type claims struct {
	Vkey       string
	Witness    string
	Checkpoint string
	Roots      []string
	Inclusion  [][]string
	Consistent [][]string
}

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// files is a tlog.TileReader over the C2SP layout, whose paths leave out the height.
type files struct{ dir string }

func (f files) Height() int { return 8 }
func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(f.dir, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}
func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

// cosigner verifies cosignature/v1 lines (type 0x04), which the note package leaves to others.
type cosigner struct {
	name string
	key  ed25519.PublicKey
}

func (c cosigner) Name() string { return c.name }
func (c cosigner) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(c.name+"\n\x04"), c.key...))
	return binary.BigEndian.Uint32(sum[:])
}
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func newCosigner(vkey string) cosigner {
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	check(err, "witness key")
	c := cosigner{parts[0], raw[1:]}
	if raw[0] != 4 || fmt.Sprintf("%08x", c.KeyHash()) != parts[1] {
		check(fmt.Errorf("type or id"), "witness key")
	}
	return c
}

func hashes(texts []string) []tlog.Hash {
	var all []tlog.Hash
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		check(err, "hash")
		all = append(all, hash)
	}
	return all
}

func leaves(dir string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		path := fmt.Sprintf("tile/entries/%03d", n)
		if width := size - n*256; width < 256 {
			path += fmt.Sprintf(".p/%d", width)
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		check(err, "bundle")
		for len(data) > 0 {
			end := 2 + int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:end])
			data = data[end:]
		}
	}
	return all
}

func main() {
	dir := os.Args[1]
	raw, err := os.ReadFile(os.Args[2])
	check(err, "claims")
	var claim claims
	check(json.Unmarshal(raw, &claim), "claims")

	verifier, err := note.NewVerifier(claim.Vkey)
	check(err, "vkey")
	opened, err := note.Open([]byte(claim.Checkpoint), note.VerifierList(verifier, newCosigner(claim.Witness)))
	check(err, "note")
	if len(opened.Sigs) != 2 {
		check(fmt.Errorf("%d signatures verify", len(opened.Sigs)), "note")
	}
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, "size")
	root, err := tlog.ParseHash(lines[2])
	check(err, "root")
	tree := tlog.Tree{N: size, Hash: root}
	reader := tlog.TileHashReader(tree, files{dir})

	roots := hashes(claim.Roots)
	entries := leaves(dir, size)
	if int64(len(entries)) != size || int64(len(roots)) != size || roots[size-1] != root {
		check(fmt.Errorf("%d entries, %d roots", len(entries), len(roots)), "size")
	}
	for n := int64(0); n < size; n++ {
		leaf := tlog.RecordHash(entries[n])
		proof, err := tlog.ProveRecord(size, n, reader)
		check(err, "prove record")
		check(tlog.CheckRecord(proof, size, root, n, leaf), "record from tiles")
		check(tlog.CheckRecord(hashes(claim.Inclusion[n]), size, root, n, leaf), "inclusion proof")
		hash, err := tlog.TreeHash(n+1, reader)
		check(err, "tree hash")
		if hash != roots[n] {
			check(fmt.Errorf("of %d leaves", n+1), "root")
		}
		check(tlog.CheckTree(hashes(claim.Consistent[n]), size, root, n+1, roots[n]), "consistency proof")
	}
	fmt.Printf("%d\n", size)
}
