/** One recorded AdmissionReview sent as an API server sends it, and its answer as `kubectl` would print it. */

import { type Agent, request } from 'node:https'
import { escapeForeign } from '../policy/index.js'

/** The parts of a recorded review that the demo shows. The whole of it is sent, unread. */
export interface RecordedReview {
  readonly request: {
    readonly operation: string
    readonly name: string
    readonly namespace: string
    readonly dryRun: boolean
    readonly kind: { readonly group: string; readonly kind: string }
    readonly userInfo: { readonly username: string }
    readonly object: { readonly metadata: { readonly creationTimestamp: string } }
  }
}

/** What of an answer reaches a user. */
export interface ReviewAnswer {
  readonly allowed: boolean
  readonly message: string | undefined
  readonly warnings: readonly string[]
}

const WEBHOOK_NAME = 'images.sallyport.dev'
/** The controllers' service accounts: nobody sits in front of them and reads a warning. */
const CONTROLLER = /^system:serviceaccount:kube-system:([a-z-]+)-controller$/

/** Send one review over TLS; the agent holds the CA that the server is verified against. */
export async function sendReview(url: string, agent: Agent, review: RecordedReview): Promise<ReviewAnswer> {
  const body = JSON.stringify(review)
  const text = await new Promise<string>((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = request(`${url}?timeout=3s`, { method: 'POST', agent, headers }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
  const { response } = JSON.parse(text)
  return { allowed: response.allowed, message: response.status?.message, warnings: response.warnings ?? [] }
}

/** The lines that the asking user would see; `brief` keeps the first line of a denial, which stands alone. */
export function renderAnswer(review: RecordedReview, answer: ReviewAnswer, detail: 'whole' | 'brief'): string {
  const { request } = review
  const controller = CONTROLLER.exec(request.userInfo.username)?.[1]
  const who = controller === undefined ? request.userInfo.username : `${controller} controller`
  const head = `${request.operation.toLowerCase()} ${nameOf(review)} in ${request.namespace}, by ${who}`
  const lines = [...answer.warnings.map(warning => `Warning: ${warning}`), outcomeOf(review, answer, detail)]
  const body = lines.flatMap(line => line.split('\n')).map(line => `    ${escapeForeign(line)}\n`)
  return `  ${escapeForeign(head)}\n${body.join('')}`
}

function outcomeOf(review: RecordedReview, { allowed, message = '' }: ReviewAnswer, detail: 'whole' | 'brief'): string {
  const dryRun = review.request.dryRun ? ' (server dry run)' : ''
  if (allowed) return `${nameOf(review)} ${review.request.operation === 'CREATE' ? 'created' : 'configured'}${dryRun}`
  const shown = detail === 'whole' ? message : (message.split('\n', 1)[0] ?? '')
  return `Error from server (Forbidden): admission webhook "${WEBHOOK_NAME}" denied the request: ${shown}`
}

function nameOf({ request }: RecordedReview): string {
  const group = request.kind.group === '' ? '' : `.${request.kind.group}`
  return `${request.kind.kind.toLowerCase()}${group}/${request.name}`
}
