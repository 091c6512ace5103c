// The Merkle inclusion check and the checkpoint parser of npm's @sigstore/verify over our proofs.
// Usage: node verify.js NODE_MODULES CASES.json    (cases: {checkpoint, entry, index, hashes}, bytes in base64)
'use strict';
const { join } = require('node:path');
const { readFileSync } = require('node:fs');
const [modules, file] = process.argv.slice(2);
const folder = join(modules, '@sigstore', 'verify', 'dist', 'tlog');
const { verifyMerkleInclusion } = require(join(folder, 'merkle.js'));
const { LogCheckpoint } = require(join(folder, 'checkpoint.js'));
const cases = JSON.parse(readFileSync(file, 'utf8'));
for (const one of cases) {
  const checkpoint = LogCheckpoint.fromString(one.checkpoint);
  const entry = {
    canonicalizedBody: Buffer.from(one.entry, 'base64'),
    inclusionProof: { logIndex: String(one.index), hashes: one.hashes.map((hash) => Buffer.from(hash, 'base64')) },
  };
  verifyMerkleInclusion(entry, checkpoint);
}
console.log(`${cases.length} proofs`);
