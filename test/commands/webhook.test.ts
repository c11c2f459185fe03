import { readFileSync, writeFileSync } from 'node:fs'
import { get as httpGet } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createCertificates } from '../../src/adapters/certificates.js'
import { run } from '../../src/cli.js'

const policyText = (mode: string, allow: string) =>
  `apiVersion: sallyport.dev/v1\nkind: ImagePolicy\nmetadata: { name: shop }\nspec: { mode: ${mode}, allow: [${allow}] }\n`
const review = JSON.stringify(JSON.parse(readFileSync('test/fixtures/admission/reviews-kube-1.20.2.json', 'utf8')).pod)

/** The command in this process, with its log gathered and its ports read from it. */
async function startCommand(folder: string, args: readonly string[]) {
  const controller = new AbortController()
  const stderr = new PassThrough()
  let log = ''
  stderr.on('data', chunk => {
    log += String(chunk)
  })
  let exitCode: number | undefined
  const io = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr,
    setExitCode: (code: number) => {
      exitCode = code
    },
    version: '9.9.9',
    now: () => Date.now(),
    signal: controller.signal,
  }
  const argv = [
    'webhook',
    '--policy',
    join(folder, 'policy.yaml'),
    '--tls-cert',
    join(folder, 'tls.crt'),
    '--tls-key',
    join(folder, 'tls.key'),
  ]
  const done = run([...argv, '--listen', '127.0.0.1:0', '--ops', '127.0.0.1:0', ...args], io)
  const seen = async (pattern: RegExp) => {
    for (let tries = 0; tries < 1200; tries += 1) {
      const match = pattern.exec(log)
      if (match !== null) return match[1] ?? ''
      await sleep(50)
    }
    throw new Error(`not seen: ${pattern} in ${log}`)
  }
  const url = await seen(/"url":"([^"]+)"/)
  const ops = Number(await seen(/"port":(\d+),"msg":"The ops port listens"/))
  const stop = async () => {
    controller.abort()
    await done
    return exitCode
  }
  return { url, ops, seen, abort: () => controller.abort(), stop, log: () => log }
}

const fetchOps = (port: number, path: string): Promise<{ status: number | undefined; body: string }> =>
  new Promise((resolve, reject) => {
    const asked = httpGet({ host: '127.0.0.1', port, path }, response => {
      let body = ''
      response.on('data', chunk => {
        body += String(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode, body }))
    })
    asked.on('error', reject)
  })

const post = (url: string, ca: string): Promise<{ allowed: boolean; connection: string | undefined }> =>
  new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method: 'POST', ca, agent: false, headers: { 'content-type': 'application/json' } },
      response => {
        let body = ''
        response.on('data', chunk => {
          body += String(chunk)
        })
        response.on('end', () =>
          resolve({ allowed: JSON.parse(body).response.allowed, connection: response.headers.connection }),
        )
      },
    )
    sent.on('error', reject)
    sent.end(review)
  })

t.test('policy and certificate files are followed, the ops port tells, and SIGTERM drains', async t => {
  const first = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const second = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const folder = t.testdir({
    'policy.yaml': policyText('enforce', 'gcr.io/*'),
    'tls.crt': first.certificate,
    'tls.key': first.key,
  })
  const webhook = await startCommand(folder, ['--journal', join(folder, 'journal'), '--shutdown-delay', '5'])
  t.match(await fetchOps(webhook.ops, '/readyz'), { status: 200, body: /certificate: ok\n/ })
  t.match(await fetchOps(webhook.ops, '/livez'), { status: 200 })
  t.equal((await post(webhook.url, first.caCertificate)).allowed, false)

  writeFileSync(join(folder, 'policy.yaml'), policyText('enforce', 'evil.example/*'))
  await webhook.seen(/("Another policy is in force")/)
  t.equal((await post(webhook.url, first.caCertificate)).allowed, true)

  writeFileSync(join(folder, 'policy.yaml'), policyText('enforce', 'evil*.example/x'))
  await webhook.seen(/(policy\.yaml:4:\d+: spec\.allow\[0\]: .*wildcard inside the host)/)
  t.equal((await post(webhook.url, first.caCertificate)).allowed, true, 'the last good policy stays')
  const page = await fetchOps(webhook.ops, '/metrics')
  t.match(page.body, 'sallyport_policy_rejected 1\n')
  t.match(page.body, 'sallyport_policy_reloads_total{result="accepted"} 1\n')
  t.match(page.body, 'sallyport_admission_reviews_total{kind="Pod",action="deny",mode="enforce"} 1\n')
  t.match(page.body, 'sallyport_build_info{version="9.9.9"} 1\n')
  t.equal((await fetchOps(webhook.ops, '/readyz')).status, 200, 'a bad change leaves it ready')

  writeFileSync(join(folder, 'tls.key'), second.key)
  writeFileSync(join(folder, 'tls.crt'), second.certificate)
  await webhook.seen(/("Another certificate is in force")/)
  t.equal((await post(webhook.url, second.caCertificate)).allowed, true)
  await t.rejects(post(webhook.url, first.caCertificate), 'new handshakes get the new certificate')

  webhook.abort()
  await webhook.seen(/("Stopping: not ready)/)
  t.match(await fetchOps(webhook.ops, '/readyz'), { status: 503, body: /stopping: asked to stop/ })
  t.match(await post(webhook.url, second.caCertificate), { allowed: true, connection: 'close' }, 'still answered')
  t.equal(await webhook.stop(), 0)
  t.match(webhook.log(), '"droppedRecords":{"journal":0,"auditLog":0}')
  await t.rejects(post(webhook.url, second.caCertificate), 'nobody listens any more')
})

t.test('a policy that selects by labels without a cluster is warned about, and the strictest mode holds', async t => {
  const set = await createCertificates({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now: Date.now() })
  const policy = `${policyText('audit', 'gcr.io/*').trimEnd().slice(0, -1)}, namespaces: [{ selector: { matchLabels: { a: b } }, mode: enforce }] }\n`
  const folder = t.testdir({ 'policy.yaml': policy, 'tls.crt': set.certificate, 'tls.key': set.key })
  const webhook = await startCommand(folder, ['--shutdown-delay', '0'])
  await webhook.seen(/(neither --kubeconfig nor --in-cluster is given)/)
  t.equal((await post(webhook.url, set.caCertificate)).allowed, false)
  t.match((await fetchOps(webhook.ops, '/metrics')).body, 'sallyport_namespace_labels_synced 0\n')
  t.equal(await webhook.stop(), 0)
})
