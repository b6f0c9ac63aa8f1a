/** What a person found an alert to be. The words are those of detection teams; OCSF's verdicts and Microsoft's classifications map onto them. */
import { z } from 'zod';

export const DISPOSITIONS = [
  'true_positive',
  'benign_true_positive',
  'false_positive',
  'undetermined',
] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

/** What each says, and what others call it. */
export const DISPOSITION_MEANINGS: Readonly<Record<Disposition, string>> = {
  true_positive:
    'The chain happened as the rule describes, and it was a threat. OCSF verdict 2 True Positive; Microsoft Sentinel TruePositive.',
  benign_true_positive:
    'The chain happened as the rule describes, and it was expected or allowed: a test, an approved job. OCSF verdict 5 Benign; Microsoft Sentinel BenignPositive.',
  false_positive:
    'The chain is not what the rule describes: its logic or its data is wrong. OCSF verdict 1 False Positive; Microsoft Sentinel FalsePositive.',
  undetermined:
    'Looked into, and what is known does not decide it. OCSF verdict 7 Insufficient Data; Microsoft Sentinel Undetermined.',
};

export const MAX_DISPOSITION_REASON_CHARS = 1024;

/** Body of POST /v1/alerts/:id/disposition. */
export const zDispositionRequest = z.strictObject({
  disposition: z
    .enum(DISPOSITIONS)
    .describe(DISPOSITIONS.map((name) => `${name}: ${DISPOSITION_MEANINGS[name]}`).join(' ')),
  reason: z.string().trim().min(1).max(MAX_DISPOSITION_REASON_CHARS).describe('Why; goes on record.'),
});
export type DispositionRequest = z.infer<typeof zDispositionRequest>;
