/**
 * A queue whose members may leave from anywhere, linked through the members themselves. A Set in order of insertion would
 * do the same, but finds its oldest member by passing all the places of those that have left: under a flood of keys, which
 * pushes out the oldest for each new one, that is most of the time.
 */
export interface Queued {
  /** The queue that it stands in. */
  queue: object | null;
  older: Queued | null;
  newer: Queued | null;
}

export class Queue<Member extends Queued> {
  oldest: Member | null = null;
  private newest: Member | null = null;
  size = 0;

  add(member: Member): void {
    member.queue = this;
    member.older = this.newest;
    member.newer = null;
    if (this.newest === null) this.oldest = member;
    else this.newest.newer = member;
    this.newest = member;
    this.size++;
  }

  /** False where it stands in another queue or in none. */
  delete(member: Member): boolean {
    if (member.queue !== this) return false;
    // Neighbours stand in the same queue, so they are of its kind.
    const older = member.older as Member | null;
    const newer = member.newer as Member | null;
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.newest = older;
    else newer.older = older;
    member.queue = null;
    member.older = null;
    member.newer = null;
    this.size--;
    return true;
  }

  /** Oldest first. */
  *[Symbol.iterator](): Generator<Member> {
    for (let at = this.oldest; at !== null; at = at.newer as Member | null) yield at;
  }
}
