/**
 * The outside host that a call would reach, read from its arguments: URLs, host-like and e-mail-like values. The
 * arguments are attacker-controlled, so the walk is bounded in depth, values and characters.
 */
export interface CallArguments {
  readonly args?: unknown;
}

const MAX_DEPTH = 6;
const MAX_VALUES = 256;
/** Characters of one value that are scanned for URLs inside text. */
const MAX_SCANNED_CHARACTERS = 16_384;
const MAX_HOST_CHARACTERS = 253;

/** Names of arguments whose bare value is an address: `example.org`, `example.org:8080/path`, `mail@example.org`. */
const ADDRESS_NAMES = new Set(
  'url uri href link endpoint host hostname domain address addr to cc bcc recipient recipients email emails website site webhook webhook_url callback target destination dest server origin remote base_url baseurl'.split(
    ' ',
  ),
);

export const isAddressName = (name: string): boolean => ADDRESS_NAMES.has(name.toLowerCase());

/** `scheme://authority`, anywhere in a text. Unicode dots and letters are left to the URL parser. */
const URL_IN_TEXT =
  /\b(?:https?|wss?|ftps?|sftp|ssh|git|smtps?|ldaps?|tcp|udp):\/\/[^\s"'<>`{}|\\^)\]]{1,2048}/giu;
const EMAIL = /[^\s@<>",;:()[\]]{1,64}@((?:[\p{L}\p{N}-]{1,63}\.){1,8}[\p{L}\p{N}-]{2,63})/iu;
const BARE_HOST =
  /^(?:[\p{L}\p{N}_-]{1,63}\.){1,8}[\p{L}][\p{L}\p{N}-]{1,62}\.?(?=$|[:/?#])|^\d{1,3}(?:\.\d{1,3}){3}(?=$|[:/?#])|^\[[0-9a-f:.]{2,45}\](?=$|[:/?#])/iu;

/** A URL whose host every parser reads as it stands: ASCII labels, no port or user, the last label no number. */
const PLAIN_URL = /^https?:\/\/((?:[a-z0-9][a-z0-9-]*\.)*[a-z][a-z0-9-]*)(?:[/?#]|$)/;

/** Lower-case host of a URL as WHATWG's parser reads it (so that `http://2130706433/` is 127.0.0.1), '' when it is none. */
function hostOfUrl(text: string): string {
  const plain = PLAIN_URL.exec(text)?.[1];
  if (plain !== undefined && !plain.includes('xn--') && plain.length <= MAX_HOST_CHARACTERS) return plain;
  // The parser knows hosts of special schemes only; every other scheme is read as if it were http.
  const asHttp = text.replace(/^[a-z][a-z0-9+.-]*:/iu, 'http:');
  if (!URL.canParse(asHttp)) return '';
  return trimHost(new URL(asHttp).hostname);
}

function trimHost(host: string): string {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  const trimmed = bare.endsWith('.') ? bare.slice(0, -1) : bare;
  return trimmed.length > MAX_HOST_CHARACTERS ? '' : trimmed.toLowerCase();
}

/** True when the operator says that the host is inside: exact name, or `.suffix` for a name and all below it. */
export function isInternalHost(host: string, internalHosts: readonly string[]): boolean {
  for (const entry of internalHosts) {
    if (entry.startsWith('.')) {
      if (host.endsWith(entry) || host === entry.slice(1)) return true;
    } else if (host === entry) return true;
  }
  return false;
}

function* hostsInText(text: string, isAddress: boolean): Generator<string> {
  const scanned = text.length > MAX_SCANNED_CHARACTERS ? text.slice(0, MAX_SCANNED_CHARACTERS) : text;
  if (scanned.includes('://')) {
    for (const match of scanned.match(URL_IN_TEXT) ?? []) yield hostOfUrl(match);
  }
  if (isAddress) yield* hostsInAddress(scanned);
}

/** Hosts of a bare address: an e-mail address or a host name. */
function* hostsInAddress(scanned: string): Generator<string> {
  if (scanned.includes('@') && !scanned.includes('://')) {
    const mail = EMAIL.exec(scanned.slice(0, 1024));
    if (mail?.[1] !== undefined) yield hostOfUrl(`http://${mail[1]}`);
    return;
  }
  const bare = scanned.startsWith('//') ? scanned.slice(2) : scanned;
  if (BARE_HOST.test(bare.slice(0, 512))) yield hostOfUrl(`http://${bare.slice(0, 512)}`);
}

/** The first outside host of one value, '' where there is none. */
export function outsideHostInText(
  text: string,
  isAddress: boolean,
  internalHosts: readonly string[],
): string {
  for (const host of hostsInText(text, isAddress))
    if (host !== '' && !isInternalHost(host, internalHosts)) return host;
  return '';
}

interface Walk {
  values: number;
  readonly internalHosts: readonly string[];
}

function outsideHost(value: unknown, isAddress: boolean, depth: number, walk: Walk): string {
  if (typeof value === 'string') {
    if (walk.values++ >= MAX_VALUES) return '';
    return outsideHostInText(value, isAddress, walk.internalHosts);
  }
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return '';
  return Array.isArray(value)
    ? outsideHostOfList(value, isAddress, depth, walk)
    : outsideHostOfObject(value as Record<string, unknown>, depth, walk);
}

function outsideHostOfList(list: readonly unknown[], isAddress: boolean, depth: number, walk: Walk): string {
  for (const item of list) {
    if (walk.values >= MAX_VALUES) return '';
    const host = outsideHost(item, isAddress, depth + 1, walk);
    if (host !== '') return host;
  }
  return '';
}

/** Arguments that are named like an address speak before free text that merely holds a link. */
function outsideHostOfObject(object: Record<string, unknown>, depth: number, walk: Walk): string {
  let inText = '';
  for (const name in object) {
    if (walk.values >= MAX_VALUES) break;
    const isAddress = isAddressName(name);
    const host = isAddress || inText === '' ? outsideHost(object[name], isAddress, depth + 1, walk) : '';
    if (host === '') continue;
    if (isAddress) return host;
    inText = host;
  }
  return inText;
}

/**
 * Host (lower case, punycode, no port, no brackets) of the first outside address among the call's arguments, '' when
 * there is none. `internalHosts`: exact names, or `.suffix`.
 */
export function destHost(event: CallArguments, internalHosts: readonly string[]): string {
  if (event.args === undefined || event.args === null) return '';
  return outsideHost(event.args, false, 0, { values: 0, internalHosts });
}

/** Stands for hosts that a bound kept from being read; no mapping names it. */
export const UNSEEN_HOST = '(unseen)';

interface CollectedHosts {
  /** Looked at so far. */
  values: number;
  readonly hosts: Set<string>;
}

function collectFromText(text: string, isAddress: boolean, into: CollectedHosts): void {
  if (into.values++ >= MAX_VALUES || text.length > MAX_SCANNED_CHARACTERS) into.hosts.add(UNSEEN_HOST);
  for (const host of hostsInText(text, isAddress)) if (host !== '') into.hosts.add(host);
}

function collectHosts(value: unknown, isAddress: boolean, depth: number, into: CollectedHosts): void {
  if (typeof value === 'string') return collectFromText(value, isAddress, into);
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_DEPTH || into.values > MAX_VALUES) return void into.hosts.add(UNSEEN_HOST);
  const isList = Array.isArray(value);
  for (const [name, member] of Object.entries(value))
    collectHosts(member, isList ? isAddress : isAddressName(name), depth + 1, into);
}

/** All hosts that the arguments name, inside or outside; UNSEEN_HOST among them where a bound left something out. */
export function hostsIn(event: CallArguments): readonly string[] {
  const into = { values: 0, hosts: new Set<string>() };
  collectHosts(event.args, false, 0, into);
  return [...into.hosts];
}
