import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { loadPolicy } from '../../src/adapters/policy-files.js'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import { evaluate } from '../../src/policy/index.js'
import { NOW, scope } from '../support/policies.js'

const policies = readdirSync('policies').filter(name => name.endsWith('.yaml'))

/** The images that a policy's comment block names, under "Admits" and under "Denies". */
function claimsOf(file: string): readonly { readonly image: string; readonly isAdmitted: boolean }[] {
  let isAdmitted: boolean | undefined
  return readFileSync(`policies/${file}`, 'utf8')
    .split('\n')
    .flatMap(line => {
      if (/^# (?:Admits without|Admits:)/.test(line)) isAdmitted = true
      else if (/^# (?:Admits with|Denies)/.test(line)) isAdmitted = false
      else if (!line.startsWith('#   ')) isAdmitted = undefined
      const image = /^# {3}(\S+)/.exec(line)?.[1]
      return image === undefined || isAdmitted === undefined ? [] : [{ image, isAdmitted }]
    })
}

t.test('each shipped policy loads without a warning and judges the images of its comment as it says', async t => {
  t.ok(policies.includes('starter.yaml') && policies.includes('strict.yaml') && policies.includes('demo-1-warn.yaml'))
  for (const file of policies) {
    const policy = await loadPolicy([`policies/${file}`])
    t.strictSame(policy.warnings, [], file)
    await loadToolCatalogue(policy.runtime)
    const claims = claimsOf(file)
    t.ok(claims.some(claim => claim.isAdmitted) && claims.some(claim => !claim.isAdmitted), `${file} names both`)
    for (const { image, isAdmitted } of claims) {
      const verdict = evaluate(policy, image, { namespace: scope('some-team', {}), now: NOW })
      t.equal(verdict.outcome !== 'denied', isAdmitted, `${file}: ${image} (${verdict.reason})`)
    }
  }
})

t.test('the starter policy refuses nothing, the strict one refuses', async t => {
  t.equal((await loadPolicy(['policies/starter.yaml'])).modeFor(scope()), 'warn')
  t.equal((await loadPolicy(['policies/strict.yaml'])).modeFor(scope('x', {})), 'enforce')
})
