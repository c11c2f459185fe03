/** Rows of cells as lines of text for people. */

const GAP = '  '

export interface Column {
  readonly heading: string
  readonly align: 'left' | 'right'
}

/** The heading first. Cells must be safe to print; nothing follows a line's last cell. */
export function layOutTable(columns: readonly Column[], rows: readonly (readonly string[])[]): readonly string[] {
  const all = [columns.map(({ heading }) => heading), ...rows]
  const widths = columns.map((_, at) => all.reduce((most, row) => Math.max(most, width(row[at] ?? '')), 0))
  return all.map(row =>
    columns
      .map(({ align }, at) => pad(row[at] ?? '', widths[at] ?? 0, align))
      .join(GAP)
      .trimEnd(),
  )
}

function pad(text: string, to: number, align: Column['align']): string {
  const blanks = ' '.repeat(Math.max(0, to - width(text)))
  return align === 'left' ? text + blanks : blanks + text
}

/** In code points: near enough for names, most of which are ASCII. */
function width(text: string): number {
  return Array.from(text).length
}
