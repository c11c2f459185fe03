/** Writes the shipped JSON Schemas from the code's own: `npm run schema`. Tests hold the two in step. */

import { writeFileSync } from 'node:fs'
import { findingJsonSchema } from '../../src/correlator/finding-schema.js'
import { policyJsonSchema } from '../../src/policy/index.js'

write('policies/image-policy.schema.json', policyJsonSchema())
write('docs/finding.schema.json', findingJsonSchema())

function write(path: string, schema: object): void {
  writeFileSync(path, `${JSON.stringify(schema, null, 2)}\n`)
}
