/** Writes the shipped JSON Schema from the policy's own schema: `npm run schema`. A test holds the two in step. */

import { writeFileSync } from 'node:fs'
import { policyJsonSchema } from '../../src/policy/index.js'

writeFileSync('policies/image-policy.schema.json', `${JSON.stringify(policyJsonSchema(), null, 2)}\n`)
