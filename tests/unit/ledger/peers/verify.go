// An auditor who did not write Asepsis: reads what "asepsis ledger export" and the proofs of the ledger are made of,
// and checks it with the Go team's own code for the checksum database, golang.org/x/mod/sumdb/note and tlog.
//
// Usage: verify LOG_KEY WITNESS_KEY,... QUORUM BUNDLE [growth.json | entry.tlog-proof ...]
// Prints how many of each kind verify; says on standard error what did not, and ends with 1.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// witness verifies the timestamped cosignature of https://c2sp.org/tlog-cosignature, which the library leaves to others.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := strconv.FormatUint(binary.BigEndian.Uint64(signature[:8]), 10)
	return ed25519.Verify(w.key, append([]byte("cosignature/v1\ntime "+seconds+"\n"), text...), signature[8:])
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(holds bool, what string) {
	if !holds {
		must(fmt.Errorf("%s", what))
	}
}

func parseWitness(text string) witness {
	parts := strings.SplitN(text, "+", 3)
	check(len(parts) == 3, "witness key")
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	must(err)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	check(len(key) == 1+ed25519.PublicKeySize && key[0] == 4, "witness key")
	return witness{parts[0], uint32(hash), ed25519.PublicKey(key[1:])}
}

// open checks the signatures of a checkpoint and returns the tree that it states.
func open(text string, origin string, quorum int, verifiers note.Verifiers) tlog.Tree {
	opened, err := note.Open([]byte(text), verifiers)
	must(err)
	check(len(opened.Sigs) >= 1+quorum, "quorum")
	lines := strings.Split(opened.Text, "\n")
	check(len(lines) == 4 && lines[0] == origin, "origin")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

func hashes(lines []string) []tlog.Hash {
	var all []tlog.Hash
	for _, line := range lines {
		one, err := tlog.ParseHash(line)
		must(err)
		all = append(all, one)
	}
	return all
}

// treeOf computes the root of the entries anew.
func treeOf(entries [][]byte) tlog.Hash {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for number, entry := range entries {
		more, err := tlog.StoredHashes(int64(number), entry, reader)
		must(err)
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(int64(len(entries)), reader)
	must(err)
	return root
}

func main() {
	check(len(os.Args) >= 5, "arguments")
	log, err := note.NewVerifier(os.Args[1])
	must(err)
	verifiers := []note.Verifier{log}
	for _, text := range strings.Split(os.Args[2], ",") {
		verifiers = append(verifiers, parseWitness(text))
	}
	quorum, err := strconv.Atoi(os.Args[3])
	must(err)
	known := note.VerifierList(verifiers...)
	data, err := os.ReadFile(os.Args[4])
	must(err)
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	check(len(lines) >= 2, "bundle")
	var tail struct{ Checkpoint string }
	must(json.Unmarshal(lines[len(lines)-1], &tail))
	entries := lines[1 : len(lines)-1]
	tree := open(tail.Checkpoint, log.Name(), quorum, known)
	check(tree.N == int64(len(entries)) && treeOf(entries) == tree.Hash, "root")
	included, grown := 0, 0
	for _, path := range os.Args[5:] {
		text, err := os.ReadFile(path)
		must(err)
		if strings.HasSuffix(path, ".json") {
			var growth struct {
				Size  int64
				Root  string
				Proof []string
			}
			must(json.Unmarshal(text, &growth))
			old := hashes([]string{growth.Root})[0]
			must(tlog.CheckTree(hashes(growth.Proof), tree.N, tree.Hash, growth.Size, old))
			grown++
			continue
		}
		parts := strings.SplitN(string(text), "\n\n", 2)
		check(len(parts) == 2, "proof")
		head := strings.Split(parts[0], "\n")
		check(len(head) >= 2 && head[0] == "c2sp.org/tlog-proof@v1", "proof")
		index, err := strconv.ParseInt(strings.TrimPrefix(head[1], "index "), 10, 64)
		must(err)
		covering := open(parts[1], log.Name(), quorum, known)
		check(index < int64(len(entries)), "index")
		leaf := tlog.RecordHash(entries[index])
		must(tlog.CheckRecord(hashes(head[2:]), covering.N, covering.Hash, index, leaf))
		included++
	}
	fmt.Printf("%d entries, %d proofs, %d growths\n", len(entries), included, grown)
}
