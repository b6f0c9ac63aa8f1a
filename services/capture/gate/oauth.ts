/**
 * Protected resource metadata (RFC 9728) of an upstream behind the gate. Clients compare `resource` with the URL they
 * call, which is the gate's: so it is rewritten, and with it the pointer in WWW-Authenticate. Tokens, challenges and
 * everything else of OAuth pass as they are. Nothing that an answer names is ever fetched: only the two standard places
 * under the configured URL.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { refuse } from './answers.ts';
import type { GateSettings, GateUpstream } from './config.ts';
import { returnedHeaders, type UpstreamClient } from './upstream.ts';
import type { Answer } from './wire/answer.ts';
import type { RawHeaders } from './wire/header-fields.ts';
import type { UpstreamAnswer } from './wire/upstream-answer.ts';
import type { Asked } from './wire/upstream-pool.ts';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const MAX_METADATA_BYTES = 1024 * 1024;
const CHALLENGE = 'www-authenticate';
const POINTER = /(resource_metadata=")([^"]*)(")/giu;

/** Where an upstream's metadata may stand (RFC 9728 §3.1), the more exact place first. */
function placesOf(url: URL): readonly string[] {
  const path = url.pathname.replace(/\/$/u, '');
  return path === '' ? [WELL_KNOWN] : [WELL_KNOWN + path, WELL_KNOWN];
}

/** The upstream whose metadata a path of the gate stands for. */
export function metadataUpstream(upstreams: readonly GateUpstream[], path: string): GateUpstream | undefined {
  if (!path.includes(WELL_KNOWN)) return undefined;
  if (path === WELL_KNOWN && upstreams.length === 1) return upstreams[0];
  return upstreams.find(
    (upstream) => path === WELL_KNOWN + upstream.path || path === upstream.path + WELL_KNOWN,
  );
}

/** The URL of an upstream's endpoint at the gate, as this client knows the gate. */
function ownUrl(settings: GateSettings, headers: IncomingHttpHeaders): string {
  const { publicUrl, tls } = settings.listen;
  return publicUrl ?? `${tls === undefined ? 'http' : 'https'}://${headers.host ?? ''}`;
}

const isChallenge = (name: string): boolean =>
  name.length === CHALLENGE.length && name.toLowerCase() === CHALLENGE;

/** Headers of answers without a challenge: one array where a server says the same. */
const unchallenged = new WeakSet<RawHeaders>();

function hasChallenge(headers: RawHeaders): boolean {
  if (unchallenged.has(headers)) return false;
  if (headers.some(isChallenge)) return true;
  unchallenged.add(headers);
  return false;
}

/** Points WWW-Authenticate at the gate's metadata, where it points at the upstream's. */
export function withOwnPointer(
  headers: RawHeaders,
  settings: GateSettings,
  { upstream, request }: { readonly upstream: GateUpstream; readonly request: IncomingHttpHeaders },
): RawHeaders {
  if (upstream.oauthMetadata === 'pass' || !hasChallenge(headers)) return headers;
  const standard = placesOf(upstream.url).map((place) => upstream.url.origin + place);
  const own = ownUrl(settings, request) + WELL_KNOWN + upstream.path;
  return headers.map((value, index) => {
    if (index % 2 === 0 || !isChallenge(headers[index - 1] ?? '')) return value;
    return value.replaceAll(POINTER, (whole, before: string, pointer: string, after: string) =>
      standard.includes(pointer) ? before + own + after : whole,
    );
  });
}

/** Answers a request for metadata from the upstream's. */
export function serveMetadata(
  exchange: { readonly request: IncomingMessage; readonly response: Answer },
  settings: GateSettings,
  { upstream, client }: { readonly upstream: GateUpstream; readonly client: UpstreamClient },
): void {
  const { request, response } = exchange;
  const resource = ownUrl(settings, request.headers) + upstream.path;
  const ask = (places: readonly string[]): void => {
    const [place, ...others] = places;
    if (place === undefined) return refuse(response, 'not_found');
    const outgoing = { method: 'GET', target: place, lines: 'Accept: application/json\r\n' };
    const asked = client.ask(outgoing, {
      onFailed: () => refuse(response, 'upstream_unreachable'),
      onAnswer: (incoming) => {
        if (incoming.status === 404) return ask(others);
        if (incoming.status === 200)
          return answer(
            { incoming, asked },
            response,
            upstream.oauthMetadata === 'pass' ? undefined : resource,
          );
        asked.destroy();
        refuse(response, 'upstream_refused');
      },
    });
  };
  ask(placesOf(upstream.url));
}

function answer(
  { incoming, asked }: { readonly incoming: UpstreamAnswer; readonly asked: Asked },
  response: Answer,
  resource: string | undefined,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  incoming.readTo({
    onPiece: (piece) => {
      size += piece.length;
      if (size <= MAX_METADATA_BYTES) return void chunks.push(piece);
      asked.destroy();
      refuse(response, 'upstream_refused');
    },
    onBrokenOff: () => refuse(response, 'upstream_refused'),
    onEnd: () => {
      const body = withResource(Buffer.concat(chunks), resource);
      if (body === undefined) return refuse(response, 'upstream_refused');
      if (response.isGone) return;
      response.begin({
        status: 200,
        headers: returnedHeaders(incoming),
        length: body.length,
        date: incoming.date,
      });
      response.end(body);
    },
  });
}

function withResource(body: Buffer, resource: string | undefined): Buffer | undefined {
  if (resource === undefined) return body;
  try {
    const metadata: unknown = JSON.parse(body.toString('utf8'));
    if (typeof metadata !== 'object' || metadata === null) return undefined;
    return Buffer.from(JSON.stringify({ ...metadata, resource }));
  } catch {
    return undefined;
  }
}
