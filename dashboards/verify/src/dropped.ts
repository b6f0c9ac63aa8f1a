/** What was dropped: files, or a folder that `tripline export` wrote. */
const BUNDLE_NAMES = ['bundle.ndjson', 'bundle.ndjson.gz', 'bundle.tripline', 'bundle.tripline.gz'];
const POLICY_NAME = 'policy';

export interface Dropped {
  readonly bundle: File | undefined;
  readonly policy: File | undefined;
}

export async function filesOf(transfer: DataTransfer): Promise<Dropped> {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const files = [...transfer.files];
  for (const entry of entries)
    if (entry instanceof FileSystemDirectoryEntry) files.push(...(await inFolder(entry)));
  return sorted(files);
}

/** The first that is no policy is the bundle. A folder itself is dropped as a file without content, which is none. */
export function sorted(files: readonly File[]): Dropped {
  const policy = files.find(({ name }) => name === POLICY_NAME);
  const named = files.find(({ name }) => BUNDLE_NAMES.includes(name));
  const bundle =
    named ?? files.find((file) => file !== policy && /\.(ndjson|tripline|gz|jsonl)$/.test(file.name));
  return { bundle, policy };
}

async function inFolder(folder: FileSystemDirectoryEntry): Promise<File[]> {
  // Never a policy: whoever made the folder would say whom to trust.
  const found = await Promise.all(BUNDLE_NAMES.map((name) => fileIn(folder, name)));
  return found.filter((file) => file !== undefined);
}

function fileIn(folder: FileSystemDirectoryEntry, name: string): Promise<File | undefined> {
  return new Promise((resolve) => {
    folder.getFile(
      name,
      {},
      (entry) => (entry as FileSystemFileEntry).file(resolve, () => resolve(undefined)),
      () => resolve(undefined),
    );
  });
}
