/** Which record let an image in, what the policy says of the image that runs, and how the two explain each other. */

import t from 'tap'
import type { AdmissionJournal, RecordedAdmission } from '../../src/correlator/admission-journal.js'
import { createAdmissionLookup } from '../../src/correlator/admission-lookup.js'
import { createDetectionContext } from '../../src/correlator/detection-context.js'
import type { EventContainer, ExecEvent } from '../../src/correlator/exec-event.js'
import { findGoverningAdmission } from '../../src/correlator/governing-admission.js'
import { type CompiledPolicy, compileToolCatalogue } from '../../src/policy/index.js'
import {
  AFTER_START,
  BEFORE_START,
  containerOf,
  eventOf,
  imageRecord,
  journalOf,
  podOf,
  recordOf,
  START,
} from '../support/events.js'
import { policyOf } from '../support/policies.js'

const EXCEPTION = {
  id: 'EX-1',
  images: ['docker.io/library/redis'],
  namespaces: ['team-a'],
  expires: '2026-11-21T23:30:00Z',
  reason: 'migration',
  owner: 'data',
}
const STRICT = policyOf({ allow: ['registry.corp.example/*', 'docker.io/library/nginx:1.27'] })
const EXCEPTED = policyOf({ allow: ['registry.corp.example/*'], exceptions: [EXCEPTION] })
const NO_TOOLS = compileToolCatalogue({ file: 'none', tools: [] }, STRICT.runtime)

function look(policy: CompiledPolicy, journal: AdmissionJournal | undefined, event: ExecEvent, asOf?: number) {
  const admissions = createAdmissionLookup(journal, () => 0)
  return createDetectionContext({ policy, catalogue: NO_TOOLS, admissions, asOf, policyPaths: [] }, event)
}

function explain(policy: CompiledPolicy, journal: AdmissionJournal | undefined, event = eventOf(), asOf?: number) {
  const { use, admission } = look(policy, journal, event, asOf)
  return { outcome: use?.verdict.outcome, code: admission?.code, certainty: admission?.certainty }
}

t.test('how an image got in', async t => {
  const allowed = imageRecord({ outcome: 'allowed', reason: 'allow-entry', entry: 'docker.io/*' })
  const excepted = imageRecord({ outcome: 'excepted', reason: 'exception', entry: 'EX-1', exception: 'EX-1' })
  const gone = imageRecord({ outcome: 'excepted', reason: 'exception', entry: 'EX-0', exception: 'EX-0' })
  const underException = recordOf({ mode: 'enforce', action: 'admit', images: [excepted] })
  const denyAlso = policyOf({ allow: [], deny: ['docker.io/*'], exceptions: [EXCEPTION] })
  const LATER = Date.parse('2026-11-21T23:40:00Z')
  const cases: readonly (readonly [string, ReturnType<typeof explain>, object])[] = [
    [
      'warn mode',
      explain(STRICT, journalOf([recordOf()])),
      { outcome: 'denied', code: 'admitted.warn-mode', certainty: 'proved' },
    ],
    [
      'audit mode',
      explain(STRICT, journalOf([recordOf({ mode: 'audit', action: 'audit' })])),
      { outcome: 'denied', code: 'admitted.warn-mode', certainty: 'proved' },
    ],
    [
      'an exception that lives',
      explain(EXCEPTED, journalOf([underException])),
      { outcome: 'excepted', code: 'admitted.exception-active', certainty: 'proved' },
    ],
    [
      'an exception that has ended',
      explain(EXCEPTED, journalOf([underException]), eventOf({ time: LATER })),
      { outcome: 'denied', code: 'admitted.exception-expired', certainty: 'proved' },
    ],
    [
      'the same, asked as of a later time',
      explain(EXCEPTED, journalOf([underException]), eventOf(), LATER),
      { outcome: 'denied', code: 'admitted.exception-expired', certainty: 'proved' },
    ],
    [
      'an exception that is gone from the policy',
      explain(STRICT, journalOf([recordOf({ images: [gone] })])),
      { outcome: 'denied', code: 'admitted.exception-expired', certainty: 'proved' },
    ],
    [
      'a live exception, under a deny entry that came since',
      explain(denyAlso, journalOf([underException])),
      { outcome: 'denied', code: 'admitted.policy-tightened', certainty: 'proved' },
    ],
    [
      'a policy that allowed it then',
      explain(STRICT, journalOf([recordOf({ images: [allowed] })])),
      { outcome: 'denied', code: 'admitted.policy-tightened', certainty: 'proved' },
    ],
    [
      'this very policy allowed it: it knew the labels of the namespace',
      explain(STRICT, journalOf([recordOf({ revision: STRICT.revision, images: [allowed] })])),
      { outcome: undefined, code: undefined, certainty: undefined },
    ],
    [
      'enforce mode let an unchanged image pass, and the first record is missing',
      explain(
        STRICT,
        journalOf([recordOf({ mode: 'enforce', operation: 'UPDATE', images: [imageRecord({ isChanged: false })] })]),
      ),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'no record, while a webhook was recording: whether it was called is not known',
      explain(STRICT, journalOf([])),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'a record of the creation, which does not name the container: it came later',
      explain(STRICT, journalOf([recordOf({ images: [imageRecord({ container: 'other' })] })])),
      { outcome: 'denied', code: 'bypass.subresource', certainty: 'likely' },
    ],
    [
      'a record of the creation that has no room for all containers',
      explain(STRICT, journalOf([recordOf({ images: [imageRecord({ container: 'other' })], imagesOmitted: 1 })])),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'an update in warn mode that left the image alone did not let it in',
      explain(STRICT, journalOf([recordOf({ operation: 'UPDATE', images: [imageRecord({ isChanged: false })] })])),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'the container is older than the journal',
      explain(STRICT, journalOf([], [{ from: AFTER_START, to: AFTER_START + 1 }])),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'the container started while no webhook was up',
      explain(
        STRICT,
        journalOf(
          [],
          [
            { from: 0, to: BEFORE_START },
            { from: AFTER_START, to: AFTER_START + 1 },
          ],
        ),
      ),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'an empty journal',
      explain(STRICT, journalOf([], [])),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    ['no journal', explain(STRICT, undefined), { outcome: 'denied', code: 'unexplained', certainty: 'unknown' }],
    [
      'no start time',
      explain(STRICT, journalOf([]), eventOf({ pod: podOf({ container: containerOf({ startTime: undefined }) }) })),
      { outcome: 'denied', code: 'unexplained', certainty: 'unknown' },
    ],
    [
      'excepted, and no record: nothing is wrong',
      explain(EXCEPTED, journalOf([])),
      { outcome: 'excepted', code: undefined, certainty: undefined },
    ],
    [
      'allowed: nothing to explain',
      explain(policyOf({ allow: ['docker.io/library/*'] }), journalOf([recordOf()])),
      { outcome: 'allowed', code: undefined, certainty: undefined },
    ],
  ]
  for (const [title, actual, expected] of cases) t.same(actual, expected, title)
})

t.test('an explanation names its evidence, with the time at which it was seen', async t => {
  const { admission } = look(STRICT, journalOf([recordOf()]), eventOf())
  const seen = '2026-11-21T23:21:55Z'
  t.same(
    admission?.evidence.map(({ field, value }) => [field, value]),
    [
      ['recordId', 'r-1'],
      ['operation', 'CREATE'],
      ['user', 'jane'],
      ['image', 'redis:7'],
      ['outcome', 'denied (not-allowed)'],
      ['mode', 'warn'],
      ['policy', 'test rev 1111111'],
    ],
  )
  t.ok(admission?.evidence.every(each => each.source === 'journal' && each.seen === seen))
})

t.test('foreign text in a record cannot forge a line of an explanation', async t => {
  const record = recordOf({ user: 'eve\n\u001b[2J\u202e', operation: 'CREATE\r' })
  const { admission } = look(STRICT, journalOf([record]), eventOf())
  const said = JSON.stringify([admission?.summary, admission?.remedy, admission?.evidence])
  t.notMatch(said, /\\n\\u001b|\u202e/)
  t.match(admission?.summary, /eve\\n/)
})

t.test('the record that governs', async t => {
  const at = (seconds: number): number => Date.parse(START) + seconds * 1000
  const nginx = [imageRecord({ written: 'nginx' })]
  const create = recordOf({ recordId: 'create', at: at(-3), images: nginx })
  const label = recordOf({ recordId: 'label', at: at(-2), operation: 'UPDATE', images: nginx })
  const patch = recordOf({ recordId: 'patch', at: at(-1), operation: 'UPDATE' })
  const late = recordOf({ recordId: 'late', at: at(600), operation: 'UPDATE', images: nginx })
  const cases: readonly (readonly [string, readonly RecordedAdmission[], string | undefined])[] = [
    ['the only one', [create], 'create'],
    ['not a later one that changed nothing', [create, label], 'create'],
    ['the one that brought in the image that runs', [create, label, patch], 'patch'],
    ['in any order', [patch, label, create], 'patch'],
    ['not one that came after the container had started', [create, late, patch], 'patch'],
    ['the earliest, when all seem later: clocks differ', [late], 'late'],
    ['not a dry run', [recordOf({ dryRun: true })], undefined],
    ['not a refusal', [recordOf({ allowed: false, action: 'deny' })], undefined],
    ["not another pod's of the same name", [recordOf({ uid: 'uid-0' })], undefined],
    ['not one of another kind', [recordOf({ kind: 'Deployment' })], undefined],
    ['one without a uid, by its name', [recordOf({ recordId: 'named', uid: undefined })], 'named'],
    ['not a volume of the same name', [recordOf({ images: [imageRecord({ list: 'volumes' })] })], undefined],
    [
      'an ephemeral container',
      [
        recordOf({
          recordId: 'e',
          kind: 'EphemeralContainers',
          images: [imageRecord({ list: 'ephemeralContainers' })],
        }),
      ],
      'e',
    ],
  ]
  for (const [title, records, expected] of cases) {
    t.equal(findGoverningAdmission(records, podOf(), containerOf())?.record.recordId, expected, title)
  }
})

t.test('the image that is judged', async t => {
  const spec = (written: string) => journalOf([recordOf({ images: [imageRecord({ written })] })])
  const status = (changes: Partial<EventContainer>) => eventOf({ pod: podOf({ container: containerOf(changes) }) })
  const hex = 'b'.repeat(64)
  const cases: readonly (readonly [string, AdmissionJournal | undefined, ExecEvent, object | undefined])[] = [
    [
      "the spec's, where a record knows it",
      spec('redis:7'),
      eventOf(),
      { image: 'redis:7', witness: 'admission-record', certainty: 'proved', verdict: { outcome: 'denied' } },
    ],
    [
      'an alias of an admitted image is no finding',
      spec('registry.corp.example/cache:7'),
      eventOf(),
      { image: 'registry.corp.example/cache:7', verdict: { outcome: 'allowed' } },
    ],
    [
      'an allowed alias does not excuse the spec',
      spec('evil.example/x'),
      status({ imageName: 'registry.corp.example/x:1' }),
      { image: 'evil.example/x', verdict: { outcome: 'denied' } },
    ],
    [
      'without a record, the status name, which is only likely',
      journalOf([]),
      eventOf(),
      { image: 'docker.io/library/redis:7', witness: 'container-status', certainty: 'likely' },
    ],
    [
      'a bare digest proves nothing, but the repository of the image id says something',
      undefined,
      status({ imageName: `sha256:${hex}`, imageId: `docker-pullable://evil.example/x@sha256:${hex}` }),
      {
        image: `evil.example/x@sha256:${hex}`,
        witness: 'image-id',
        certainty: 'likely',
        verdict: { outcome: 'denied' },
      },
    ],
    [
      'an image id whose repository is allowed clears a bare digest',
      undefined,
      status({ imageName: `sha256:${hex}`, imageId: `registry.corp.example/x@sha256:${hex}` }),
      { witness: 'image-id', verdict: { outcome: 'allowed' } },
    ],
    [
      'an entry that pins a tag cannot clear it, and nothing is claimed',
      undefined,
      status({ imageName: hex, imageId: `docker.io/library/nginx@sha256:${hex}` }),
      { witness: 'image-id', certainty: 'unknown', verdict: { outcome: 'denied' } },
    ],
    [
      'nothing readable at all',
      undefined,
      status({ imageName: `sha256:${hex}`, imageId: `sha256:${hex}` }),
      { certainty: 'unknown', verdict: { reason: 'image-unreadable' } },
    ],
    [
      'an import has a name that says nothing',
      undefined,
      status({ imageName: `import-2026-08-11@sha256:${hex}`, imageId: `sha256:${hex}` }),
      { certainty: 'unknown' },
    ],
    ['no image at all', undefined, status({ imageName: undefined }), undefined],
    ['no container', undefined, eventOf({ pod: podOf({ container: undefined }) }), undefined],
    ['no pod', undefined, eventOf({ pod: undefined }), undefined],
  ]
  for (const [title, journal, event, expected] of cases) {
    const { use } = look(STRICT, journal, event)
    if (expected === undefined) t.equal(use, undefined, title)
    else t.match(use, expected, title)
  }
})

t.test('rules of unknown labels are never called proof', async t => {
  const selective = policyOf({
    allow: ['registry.corp.example/*'],
    namespaces: [{ selector: { matchLabels: { env: 'dev' } }, allow: ['docker.io/*'] }],
  })
  const { use } = look(selective, journalOf([recordOf()]), eventOf())
  t.equal(use?.certainty, 'likely')
  t.equal(use?.remarks.length, 1)
})

t.test('a status name that needs a digest proves nothing', async t => {
  const { use } = look(policyOf({ allow: ['docker.io/*'], digest: { require: true } }), undefined, eventOf())
  t.match(use, { verdict: { reason: 'digest-required' }, certainty: 'unknown' })
})
