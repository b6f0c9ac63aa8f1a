/**
 * Names of servers and tools → tool class. A table, read top to bottom, first hit wins: effects before reads, and the
 * graver effect before the lighter one, so that a name which says two things ("search_and_delete") gets the class that
 * an alarm should not miss. A name is cut into lower-case words first (camelCase, snake_case, dots, dashes), so that
 * patterns speak of words. Any change of the table is a new version: stored rows say which version decided.
 */
import type { ToolClass } from '../../schemas/event/v1.ts';

export const CLASSIFIER_VERSION = 1;

/** Longest name that is looked at; the schema's limit is the same. */
const MAX_NAME_CHARACTERS = 256;

export interface NamePattern {
  readonly class: ToolClass;
  /** Over the tool's words, each with a blank before and after: ` send email `. */
  readonly tool?: RegExp;
  /** Over the server's words. Both must match where both are given. */
  readonly server?: RegExp;
}

const words = (...alternatives: string[]): RegExp => new RegExp(` (?:${alternatives.join('|')}) `);

const SECRETS =
  '(?:secrets?|vault|passwords?|credentials?|creds|tokens?|api keys?|private keys?|ssh keys?|keychain|passphrases?|iban)';
const READING =
  '(?:get|read|fetch|list|show|view|load|lookup|retrieve|reveal|export|dump|describe|access|kv)';
const WRITING = '(?:put|post|set|write|create|update|add|store|save|append|edit|insert|modify|change|rotate)';
const MEMORY =
  '(?:memory|memories|entity|entities|relations?|observations?|graph|nodes|knowledge|note|notes|scratchpad)';
const FILES =
  '(?:files?|directory|directories|dir|folder|folders|path|paths|document|documents|attachment|attachments)';

/** The table. */
export const NAME_PATTERNS: readonly NamePattern[] = [
  {
    class: 'payment',
    tool: words(
      '(?:send|transfer|wire|withdraw|move) (?:money|funds?|ether|eth|btc|bitcoin|coins?|tokens|payment|cash)',
      '(?:schedule|make|create|execute|initiate|update scheduled|approve) (?:transaction|payment|transfer|payout|charge|refund)',
      'pay(?: \\w+)?',
      '(?:refund|charge|payout|checkout|purchase|buy)(?: \\w+){0,3}',
      'place order',
      'deposit|withdraw',
    ),
  },
  {
    class: 'delete',
    tool: words(
      '(?:delete|deletes|remove|rm|rmdir|unlink|erase|purge|destroy|wipe|truncate|drop|uninstall|terminate|revoke|empty|clear|trash)(?: \\w+)*',
      '\\w+ (?:delete|remove|purge|destroy)(?: \\w+)*',
    ),
  },
  {
    class: 'code_exec',
    tool: words(
      '(?:execute|exec|run|eval|spawn|invoke) (?:\\w+ )?(?:code|command|commands|cmd|script|shell|python|javascript|js|bash|terminal|program|sandbox|notebook|cell|process)',
      'terminal execute',
      '(?:bash|shell|terminal|python|python repl|repl|powershell|code interpreter|computer|exec|eval)',
      'browser evaluate',
    ),
  },
  {
    class: 'secret_read',
    tool: new RegExp(` ${READING} (?:\\w+ ){0,3}${SECRETS} | ${SECRETS} (?:\\w+ ){0,2}${READING} `),
  },
  { class: 'secret_read', tool: words(READING, 'get value', 'item get', 'read'), server: words(SECRETS) },
  {
    class: 'admin',
    tool: new RegExp(
      ` (?:update|change|reset|set|rotate) (?:\\w+ ){0,3}(?:${SECRETS}|permissions?|roles?|policy|policies|acl|access|mfa|settings|config|configuration) | (?:grant|elevate|impersonate|disable|enable) (?:\\w+ ){0,3}(?:access|user|users|role|permission|mfa|audit|logging) | (?:add|invite|create|update) (?:\\w+ ){0,2}(?:user|users|member|members|admin|account) `,
    ),
  },
  {
    class: 'publish',
    tool: words(
      '(?:publish|release|deploy)(?: \\w+)*',
      '(?:create|push|merge|open|submit) (?:\\w+ )?(?:pull request|pr|release|gist|issue|page|blog|commit|branch|repository)',
      'git push|push files|push',
      'post (?:blog|tweet|status|article|webpage|page)',
      '(?:create|add) (?:tweet|comment|post|article)',
      '(?:\\w+ )*post (?:tweet|update|status)',
      '(?:share|make public)(?: \\w+){0,2} (?:file|item|document|folder|note|link)',
    ),
  },
  {
    class: 'message',
    tool: words(
      '(?:send|reply|forward|compose|draft)(?: \\w+){0,3} (?:emails?|mails?|messages?|sms|dms?|notification|text|reply|chat|invite)',
      'send (?:\\w+ )?(?:email|mail|message|sms)',
      '(?:\\w+ )+send (?:email|mail|message|sms)',
      '(?:post|add|reply)(?: \\w+){0,2} (?:message|to channel|to thread|reply|reaction)',
      '(?:chat|slack) post(?: \\w+)*',
    ),
  },
  { class: 'message', tool: /^ (?:email|mail|sms|message|notify|dm|reply|forward) $/ },
  {
    class: 'external_post',
    tool: words(
      '(?:http|https|web|api|url|webhook|rest) (?:post|put|patch|upload|send|request)',
      '(?:post|put|patch) (?:to )?(?:url|http|https|web|webhook|webpage|api|external|outside|data|json|form|endpoint|request)',
      '(?:upload|exfil|submit|transmit)(?: \\w+)*',
      '(?:call|trigger|send|fire|invoke) (?:\\w+ )?(?:webhook|http|api|request|hook|data)',
      '(?:post|curl)',
      'input to webpage|browser (?:fill form|type|file upload)',
    ),
  },
  {
    class: 'external_post',
    tool: words('post', 'send', 'put', 'publish', 'write'),
    server: words('poster', 'webhook', 'outside', 'http', 'pastebin'),
  },
  {
    class: 'database',
    tool: words(
      '(?:sql|query|mysql|postgres|sqlite|mongo|mongodb|redis|bigquery|snowflake|clickhouse)(?: \\w+)*',
      '(?:run|execute|read|write|select) (?:\\w+ )?(?:query|sql|statement|table)',
      '(?:list|describe|create|alter|get) (?:tables?|schemas?|databases?|collections?)',
      '(?:select|insert|find|aggregate) (?:\\w+ )?(?:rows?|records?|documents?|one|many)',
    ),
  },
  {
    class: 'database',
    server: words(
      'sql',
      'mysql',
      'postgres',
      'postgresql',
      'sqlite',
      'mongodb',
      'database',
      'db',
      'bigquery',
      'clickhouse',
      'redis',
    ),
  },
  {
    class: 'memory_write',
    tool: new RegExp(
      ` ${WRITING} (?:\\w+ ){0,2}${MEMORY} | (?:remember|memorize|upsert memory|store|save)(?: \\w+){0,2} ${MEMORY} | (?:remember|memorize) `,
    ),
  },
  {
    class: 'memory_write',
    tool: new RegExp(` ${WRITING}(?: |$)`),
    server: words('memory', 'mem0', 'memories', 'knowledge graph', 'scratchpad'),
  },
  {
    class: 'memory_read',
    tool: new RegExp(
      ` (?:${READING}|search|open|recall|query|find) (?:\\w+ ){0,2}${MEMORY} | (?:recall|recollect) `,
    ),
  },
  { class: 'memory_read', server: words('memory', 'mem0', 'memories', 'knowledge graph', 'scratchpad') },
  {
    class: 'file_write',
    tool: new RegExp(
      ` (?:${WRITING}|move|rename|copy|mkdir|apply|patch|replace|make|chmod)(?: \\w+){0,3} ${FILES} | (?:mkdir|touch|mv|cp|chmod|str replace|apply patch|create dir|move node|write) `,
    ),
  },
  {
    class: 'search',
    tool: words(
      '(?:web |google |bing |brave |internet |duckduckgo |tavily |exa |semantic |vector )?search(?: \\w+)*',
      '(?:\\w+ )+(?:search|searches|find)(?: \\w+)*',
      '(?:find|lookup|look up|grep|glob|query docs|discover)(?: \\w+)*',
    ),
  },
  {
    class: 'web_read',
    tool: words(
      '(?:fetch|browse|navigate|crawl|scrape|open|visit|download|read|get|load|click)(?: \\w+){0,3} (?:url|urls|web|webpage|webpages|page|pages|site|website|link|links|html|http|browser|internet)',
      '(?:fetch|browse|crawl|scrape|navigate|wget)(?: \\w+)*',
      '(?:browser|web browser|puppeteer|playwright)(?: \\w+)*',
      'http get|click the link|download file through url|get webpage|extract content',
    ),
  },
  {
    class: 'file_read',
    tool: new RegExp(
      ` (?:${READING}|cat|open|stat|tree|download|head|tail)(?: \\w+){0,3} ${FILES} | ${FILES} (?:\\w+ ){0,2}(?:read|get|list|info|tree) | (?:cat|ls|tree) `,
    ),
  },
  {
    class: 'file_read',
    tool: words(READING, 'open'),
    server: words('filesystem', 'files', 'fs', 'drive', 'dropbox'),
  },
  {
    class: 'message',
    server: words('smtp', 'sms', 'twilio'),
  },
  { class: 'search', server: words('search', 'tavily', 'exa', 'brave', 'serper', 'duckduckgo') },
  { class: 'web_read', server: words('fetch', 'browser', 'puppeteer', 'playwright') },
];

/** ` send direct message ` of `sendDirectMessage`, `send_direct-message`, `slack.send.direct.message`…; all other characters separate. */
export function nameWords(name: string): string {
  const cut = name
    .slice(0, MAX_NAME_CHARACTERS)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim();
  return ` ${cut} `;
}

/** Class that the table gives to a tool of a server, undefined when no line of it matches. */
export function classByName(server: string | undefined, tool: string): ToolClass | undefined {
  const toolWords = nameWords(tool);
  const serverWords = server === undefined ? ' ' : nameWords(server);
  for (const pattern of NAME_PATTERNS) {
    const toolFits = pattern.tool === undefined || pattern.tool.test(toolWords);
    if (toolFits && (pattern.server === undefined || pattern.server.test(serverWords))) return pattern.class;
  }
  return undefined;
}
