/** `cidr`: networks and the addresses that lie in them, both versions of IP. */
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Network = readonly [address: Address, prefixBits: number];

/** Bits of ::ffff:0:0/96 (RFC 4291 2.5.5.2): an IPv4 address written as IPv6. */
const MAPPED_PREFIX_BITS = 96;

/** A network in CIDR notation, undefined when the text is none. */
export function parseNetwork(text: string): Network | undefined {
  if (!ipaddr.isValidCIDR(text)) return undefined;
  const [address, prefixBits] = ipaddr.parseCIDR(text);
  const mapped = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress();
  if (!mapped || prefixBits < MAPPED_PREFIX_BITS) return [address, prefixBits];
  return [address.toIPv4Address(), prefixBits - MAPPED_PREFIX_BITS];
}

/**
 * An address, undefined when the text is none. Attackers choose the notation: bare numbers, octal and hexadecimal parts
 * (as inet_aton reads them) and IPv4 inside IPv6 all mean the address that a resolver would take them for.
 */
function parseAddress(text: string): Address | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined;
}

const isInside = (address: Address, [network, prefixBits]: Network): boolean =>
  address.kind() === network.kind() && address.match(network, prefixBits);

/** Whether the text is an address inside one of the networks. */
export function isInNetworks(text: string, networks: readonly Network[]): boolean {
  // Longest notation: an IPv6 address with an IPv4 tail, a zone and brackets.
  if (text.length > 128) return false;
  const address = parseAddress(text);
  return address !== undefined && networks.some((network) => isInside(address, network));
}
