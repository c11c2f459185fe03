/**
 * A process that speaks for the agent: it sends the lines of a file to each listener, as messages of its gRPC stream, and
 * keeps the stream open.
 *
 *     tsx bench/agent-server.ts events.jsonl unix:///tmp/agent.sock
 *
 * Writes a line when it listens.
 */

import { readFileSync } from 'node:fs'
import { Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js'
import { describeGetEvents } from '../src/adapters/tetragon-proto.js'
import { agentMessageOf } from '../test/support/agent-message.js'

const [, , path = '', address = ''] = process.argv
const definition = describeGetEvents()
// Made once: what it costs to make them is not what is measured, and must not hold the listener up.
const messages = readFileSync(path, 'utf8')
  .trimEnd()
  .split('\n')
  .map(line => definition.responseSerialize(agentMessageOf(JSON.parse(line)) as object))

const server = new Server()
server.addService(
  { GetEvents: { ...definition, responseSerialize: (message: Buffer) => message } },
  { GetEvents: (call: ServerWritableStream<object, Buffer>) => void send(call) },
)
await new Promise<void>((resolve, reject) => {
  server.bindAsync(address, ServerCredentials.createInsecure(), error => (error ? reject(error) : resolve()))
})
process.stdout.write('listening\n')

async function send(call: ServerWritableStream<object, Buffer>): Promise<void> {
  let wake = (): void => {}
  for (const event of ['drain', 'close']) call.on(event, () => wake())
  for (const message of messages) {
    if (call.cancelled) return
    if (call.write(message)) continue
    await new Promise<void>(resolve => {
      wake = resolve
    })
  }
}
