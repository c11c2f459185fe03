/** Writing through the Kubernetes client, against a server that answers as an API server and its proxies do. */

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import {
  type ClientTimeouts,
  type KubernetesClient,
  KubernetesStatusError,
  openKubernetesClient,
} from '../../src/adapters/kubernetes-client.js'

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly contentType: string | undefined
  readonly authorization: string | undefined
  readonly body: string
}

type Answer = (response: ServerResponse, request: Received) => void

async function clientOf(
  t: Test,
  answer: Answer,
  timeouts: ClientTimeouts = {},
): Promise<{ client: KubernetesClient; received: Received[] }> {
  const received: Received[] = []
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const { method, url, headers } = request
    const { authorization, 'content-type': contentType } = headers
    const one = { method, url, contentType, authorization, body: await text(request) }
    received.push(one)
    answer(response, one)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // A TCP server that listens has an address of this form.
  const { port } = server.address() as AddressInfo
  const kubeconfig = join(t.testdir(), 'kubeconfig')
  const cluster = { server: `http://127.0.0.1:${port}/behind/a/proxy/`, 'insecure-skip-tls-verify': true }
  const contexts = [{ name: 'x', context: { cluster: 'c', user: 'u' } }]
  const users = [{ name: 'u', user: { token: 'secret' } }]
  const config = { apiVersion: 'v1', kind: 'Config', 'current-context': 'x', contexts, users }
  writeFileSync(kubeconfig, JSON.stringify({ ...config, clusters: [{ name: 'c', cluster }] }))
  return { client: await openKubernetesClient({ kubeconfig }, timeouts), received }
}

const json = (response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
const statusOf = (code: number, reason: string, message: string) => ({ kind: 'Status', code, reason, message })
const never = new AbortController().signal

async function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  )
}

t.test('each method sends its path, query, body and content type, and gives the JSON of the answer', async t => {
  const { client, received } = await clientOf(t, (response, { method }) => {
    if (method === 'DELETE') response.writeHead(204).end()
    else json(response, method === 'POST' ? 201 : 200, { done: method })
  })
  const path = '/api/v1/namespaces/a/events'
  t.same(await client.send('POST', path, { body: { kind: 'Event' } }, never), { done: 'POST' })
  t.same(await client.send('PUT', path, { body: { n: 'ü' }, query: { dryRun: 'All' } }, never), { done: 'PUT' })
  const patch = { body: { count: 2 }, contentType: 'application/merge-patch+json' }
  t.same(await client.send('PATCH', path, patch, never), { done: 'PATCH' })
  t.equal(await client.send('DELETE', path, {}, never), undefined, 'no content is no error')
  const url = `/behind/a/proxy${path}`
  const authorization = 'Bearer secret'
  t.match(received, [
    { method: 'POST', url, contentType: 'application/json', body: '{"kind":"Event"}', authorization },
    { method: 'PUT', url: `${url}?dryRun=All`, contentType: 'application/json', body: '{"n":"ü"}', authorization },
    { method: 'PATCH', url, contentType: 'application/merge-patch+json', body: '{"count":2}', authorization },
    { method: 'DELETE', url, contentType: undefined, body: '', authorization },
  ])
})

t.test('a refusal says its status, its reason and when to come again', async t => {
  let answer: Answer = () => undefined
  const { client } = await clientOf(t, (response, request) => answer(response, request))
  const ask = async () => errorOf(client.send('POST', '/x', { body: {} }, never))
  const cases: readonly (readonly [string, Answer, object])[] = [
    [
      'a conflict',
      response => json(response, 409, statusOf(409, 'Conflict', 'the object has been modified')),
      { status: 409, reason: 'Conflict', retryAfterMs: undefined, message: /modified/ },
    ],
    [
      'an overload',
      response => json(response, 429, statusOf(429, 'TooManyRequests', 'later'), { 'retry-after': '7' }),
      { status: 429, reason: 'TooManyRequests', retryAfterMs: 7_000 },
    ],
    [
      "a proxy's page, escaped",
      response =>
        response.writeHead(502, { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }).end('<b>\u001b[31m</b>\n'),
      { status: 502, reason: undefined, retryAfterMs: undefined, message: /<b>[ -~]+<\/b>$/ },
    ],
    [
      'a message that is no text',
      response => json(response, 500, { message: { a: 1 }, reason: 7 }),
      { status: 500, reason: undefined },
    ],
    ['a redirection', response => response.writeHead(307, { location: 'http://evil.example/' }).end(), { status: 307 }],
    ['an endless page', response => void endless(response.writeHead(403)), { status: 403 }],
    [
      'a page that breaks off',
      response => {
        response.writeHead(403, { 'content-length': '100' }).write('{"message"')
        setImmediate(() => response.destroy())
      },
      { status: 403 },
    ],
  ]
  for (const [title, one, expected] of cases) {
    answer = one
    const error = await ask()
    t.ok(error instanceof KubernetesStatusError, `${title}: ${String(error)}`)
    t.match(error, expected, title)
  }
})

function endless(response: ServerResponse): void {
  const write = (): void => {
    if (!response.destroyed) response.write('x'.repeat(10_000), () => setImmediate(write))
  }
  write()
}

t.test('what is too large is not sent, and a silent server is given up', async t => {
  const { client, received } = await clientOf(t, () => undefined, { readMs: 100 })
  const large = await errorOf(client.send('POST', '/x', { body: { text: 'x'.repeat(4 * 1024 * 1024) } }, never))
  t.match(large, { message: /more than the API server reads/ })
  t.equal(received.length, 0)
  const silent = await errorOf(client.send('POST', '/x', { body: {} }, never))
  t.match(silent, { message: /silent for 100 ms/ })
  t.notOk(silent instanceof KubernetesStatusError)
})

t.test('a signal ends a request that is on its way', async t => {
  const stop = new AbortController()
  const { client } = await clientOf(t, () => stop.abort())
  const error = await errorOf(client.send('DELETE', '/x', {}, stop.signal))
  t.match(error, { name: 'AbortError' })
  t.match(await errorOf(client.send('DELETE', '/x', {}, stop.signal)), { name: 'AbortError' })
})
