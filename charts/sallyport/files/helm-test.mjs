// What `helm test` runs in a pod of the cluster: is the webhook ready, does it count, does it judge?
import { readFileSync } from 'node:fs'
import { request } from 'node:https'

const { OPS_URL, REVIEW_URL, CA_FILE } = process.env

async function ops(path) {
  const response = await fetch(OPS_URL + path)
  const text = await response.text()
  if (!response.ok) throw new Error(`${path} answers ${response.status}: ${text}`)
  return text
}

/** One dry run of a pod whose image no policy can read; it is counted nowhere. */
function review() {
  const uid = 'helm-test'
  const body = JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      operation: 'CREATE',
      namespace: 'helm-test',
      name: 'helm-test',
      dryRun: true,
      userInfo: { username: 'helm-test' },
      object: { metadata: { name: 'helm-test' }, spec: { containers: [{ name: 'test', image: 'No Image' }] } },
    },
  })
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', ca: readFileSync(CA_FILE), headers: { 'content-type': 'application/json' } }
    const outgoing = request(REVIEW_URL, options, async incoming => {
      let text = ''
      for await (const part of incoming) text += part
      const { response } = JSON.parse(text)
      if (response?.uid !== uid) reject(new Error(`a review is answered with ${incoming.statusCode}: ${text}`))
      else resolve(response)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

await ops('/readyz')
const metrics = await ops('/metrics')
const policy = /^sallyport_policy_info\{(.*)\} 1$/m.exec(metrics)?.[1]
if (policy === undefined) throw new Error('the metrics name no policy')
const { allowed } = await review()
console.log(`ready; ${policy}; a pod without a readable image would be ${allowed ? 'admitted with a warning' : 'denied'}`)
