import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { noteNameOf } from '../../../services/evidence/origin.ts';
import {
  checkpointText,
  parseCheckpoint,
  parseCheckpointText,
} from '../../../services/evidence/tlog/checkpoint.ts';
import {
  checkNote,
  cosign,
  cosignatureMessage,
  formatNote,
  formatVkey,
  noteKey,
  NOTE_KEY_TYPES,
  parseNote,
  parseSignatures,
  parseVkey,
  signNote,
} from '../../../services/evidence/tlog/note.ts';
import { toBase64 } from '../../../services/evidence/bytes.ts';
import { ed25519Sign, nodeCrypto, rawPublicKey, sha256 } from '../../../services/platform/ledger/crypto.ts';

const VECTORS = resolve(import.meta.dirname, '../../../../shared/data/vectors');
const skip = existsSync(VECTORS) ? false : 'vectors are not here';

// golang.org/x/mod/sumdb/note, note_test.go and its package example.
const NEUMANN = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const NEUMANN_NOTE =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';

const keyOf = (vkey: string) => {
  const key = parseVkey(vkey, sha256);
  assert.ok(key, vkey);
  return key;
};

function freshKey(name: string, type: 1 | 4) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = noteKey(name, type, rawPublicKey(privateKey), sha256);
  return { key, sign: (message: Uint8Array) => ed25519Sign(privateKey, message) };
}

describe('signed notes', () => {
  it('verify under the key that signed them, as in the Go package', () => {
    const note = parseNote(NEUMANN_NOTE);
    assert.ok(note);
    assert.equal(checkNote(note, [keyOf(NEUMANN)], nodeCrypto).kind, 'signed');
    assert.equal(formatNote(note), NEUMANN_NOTE);
    assert.equal(formatVkey(keyOf(NEUMANN)), NEUMANN);
  });
  it('are refused whole when a signature of a known key does not verify', () => {
    const note = parseNote(NEUMANN_NOTE.replace('answer', 'Answer'));
    assert.ok(note);
    assert.equal(checkNote(note, [keyOf(NEUMANN)], nodeCrypto).kind, 'forged');
  });
  it('ignore keys that share a name or an id only', () => {
    const note = parseNote(NEUMANN_NOTE);
    assert.ok(note);
    const known = keyOf(NEUMANN);
    for (const other of [
      { ...known, name: 'EnochRoot' },
      { ...known, keyId: known.keyId + 1 },
    ])
      assert.equal(checkNote(note, [other], nodeCrypto).kind, 'unsigned');
  });
  it('have no control characters, no half surrogates, and signature lines only at their end', () => {
    assert.ok(parseNote(NEUMANN_NOTE));
    const broken = [
      NEUMANN_NOTE.replace('you think', 'you\tthink'),
      NEUMANN_NOTE.replace('you think', 'you\u0000think'),
      NEUMANN_NOTE.replace('you think', 'you\ud800think'),
      NEUMANN_NOTE.slice(0, -1),
      NEUMANN_NOTE.replace('\n\n', '\n'),
      NEUMANN_NOTE.replace('— PeterNeumann', '- PeterNeumann'),
      NEUMANN_NOTE.replace('PeterNeumann x08', 'Peter Neumann x08'),
      NEUMANN_NOTE.replace('x08go/', 'x08go!'),
      `${NEUMANN_NOTE}\n`,
      '',
    ];
    for (const one of broken) assert.equal(parseNote(one), undefined, JSON.stringify(one));
  });
  it('take 16 signatures at least, and not any number', () => {
    const line = NEUMANN_NOTE.split('\n').at(-2);
    const signed = (count: number): string => `text\n\n${`${line}\n`.repeat(count)}`;
    assert.equal(parseNote(signed(16))?.signatures.length, 16);
    assert.equal(parseNote(signed(65)), undefined);
  });
});

describe('verifier keys', () => {
  it('are refused with another id, type, length or spelling', () => {
    const broken = [
      'PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      'PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
      'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      'Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      '+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      '',
    ];
    for (const one of broken) assert.equal(parseVkey(one, sha256), undefined, one);
  });
  it('of logs of others are read', () => {
    const sum = keyOf('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8');
    assert.equal(sum.name, 'sum.golang.org');
  });
  it('of small order or not canonical are refused (C2SP/CCTV)', { skip }, () => {
    interface Vector {
      readonly A?: string;
      readonly key?: string;
      readonly flags?: readonly string[] | null;
      readonly Flags?: readonly string[] | null;
    }
    const vectors = JSON.parse(readFileSync(join(VECTORS, 'ed25519vectors.json'), 'utf8')) as Vector[];
    const flagged = vectors.filter((one) =>
      (one.flags ?? one.Flags ?? []).some((flag) => flag === 'low_order_A' || flag === 'non_canonical_A'),
    );
    assert.ok(flagged.length > 100, `${flagged.length}`);
    for (const { A, key } of flagged) {
      const raw = new Uint8Array(Buffer.from(key ?? A ?? '', 'hex'));
      assert.equal(raw.length, 32);
      const vkey = formatVkey(noteKey('log.example', NOTE_KEY_TYPES.ed25519, raw, sha256));
      assert.equal(parseVkey(vkey, sha256), undefined, vkey);
    }
  });
  it('have a name without spaces and plus, whatever the deployment is called', () => {
    assert.equal(noteNameOf('acme/root'), 'acme/root');
    assert.equal(noteNameOf('a b+c%/root'), 'a%20b%2Bc%25/root');
  });
});

describe('checkpoints', () => {
  // c2sp.org/tlog-checkpoint
  const TEXT = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
  it('are three lines, written as they are read', () => {
    const checkpoint = parseCheckpointText(TEXT);
    assert.ok(checkpoint);
    assert.equal(checkpoint.size, 20_852_163);
    assert.equal(checkpointText(checkpoint), TEXT);
  });
  it('may have extension lines, and no other spelling of a size or root', () => {
    assert.ok(parseCheckpointText(`${TEXT}extension\n`));
    const broken = [
      TEXT.replace('20852163', '020852163'),
      TEXT.replace('20852163', '+20852163'),
      TEXT.replace('20852163', '99999999999999999999'),
      TEXT.replace('2I=', '2J='),
      TEXT.replace('2I=', '2I'),
      TEXT.replace('example.com/behind-the-sofa', ''),
      TEXT.slice(0, -1),
      `${TEXT}\n`,
    ];
    for (const one of broken) assert.equal(parseCheckpointText(one), undefined, JSON.stringify(one));
  });
  it('of another implementation verify (tessera)', { skip }, () => {
    const key = keyOf('example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx');
    for (let size = 1; size <= 15; size += 1) {
      const text = readFileSync(join(VECTORS, 'tlog-tiles/log', `checkpoint.${size}`), 'utf8');
      const checkpoint = parseCheckpoint(text);
      assert.ok(checkpoint);
      assert.equal(checkpoint.size, size);
      assert.equal(checkNote(checkpoint.note, [key], nodeCrypto).kind, 'signed');
    }
  });
});

describe('cosignatures', () => {
  const text = `log.example/1\n7\n${toBase64(sha256(new Uint8Array(0)))}\n`;
  it('sign the header, the time and the whole text', () => {
    // The message of c2sp.org/tlog-cosignature.
    const body = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
    const message = `cosignature/v1\ntime 1679315147\n${body}`;
    assert.equal(Buffer.from(cosignatureMessage(body, 1_679_315_147)).toString(), message);
  });
  it('verify with their time, and for no other time, text or kind of key', () => {
    const { key, sign } = freshKey('witness.example/w1', NOTE_KEY_TYPES.cosignature);
    const signature = cosign(text, 1_764_000_000, { key, sign });
    const signed = checkNote({ text, signatures: [signature] }, [key], nodeCrypto);
    assert.ok(signed.kind === 'signed');
    assert.equal(signed.by[0]?.timeSeconds, 1_764_000_000);
    const otherTime = signature.signature.slice();
    otherTime[7] = 1;
    const forged = [
      { text, signatures: [{ ...signature, signature: otherTime }] },
      { text: text.replace('7', '8'), signatures: [signature] },
      { text, signatures: [signNote(text, key, sign)] },
      { text, signatures: [{ ...signature, signature: signature.signature.slice(0, 71) }] },
    ];
    for (const one of forged) assert.equal(checkNote(one, [key], nodeCrypto).kind, 'forged');
  });
  it('come as lines alone, all of which must be some', () => {
    const { key, sign } = freshKey('witness.example/w1', NOTE_KEY_TYPES.cosignature);
    const note = formatNote({ text, signatures: [cosign(text, 1, { key, sign })] });
    const lines = note.slice(text.length + 1);
    assert.equal(parseSignatures(lines + lines)?.length, 2);
    assert.equal(parseSignatures(`${lines}\n`), undefined);
    assert.equal(parseSignatures(''), undefined);
  });
});
