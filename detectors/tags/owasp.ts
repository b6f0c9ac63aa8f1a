/**
 * Ids of three OWASP lists. Sources: OWASP Top 10 for LLM Applications 2025 (genai.owasp.org/llm-top-10, November 2024),
 * OWASP Top 10 for Agentic Applications 2026 (genai.owasp.org, December 2025), OWASP MCP Top 10 2025, version 0.1
 * (owasp.org/www-project-mcp-top-10). Each has ten entries, numbered 01 to 10.
 */
const numbered = (prefix: string): readonly string[] =>
  Array.from({ length: 10 }, (_, index) => `${prefix}${String(index + 1).padStart(2, '0')}`);

export const OWASP_IDS: readonly string[] = [...numbered('LLM'), ...numbered('ASI'), ...numbered('MCP')];
