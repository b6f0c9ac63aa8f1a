/** The event of the line that a scanner passed last: its fields as properties, read when somebody asks. */
import { FIELD_NAMES } from './line-fields.ts';
import { LineScanner } from './line-scanner.ts';

/** Nothing of it may be kept beyond the next line. */
export class LineView {
  readonly scanner = new LineScanner();
}

FIELD_NAMES.forEach((name, number) => {
  Object.defineProperty(LineView.prototype, name, {
    get(this: LineView): unknown {
      return this.scanner.jsonOf(number);
    },
  });
});
