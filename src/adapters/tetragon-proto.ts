/**
 * The part of Tetragon's gRPC interface that is used, as protobufjs reads it: package, service, message and field
 * names and numbers are Tetragon's, and a field that is not listed is skipped. Not a `.proto` file, so that the built
 * package needs no file beside its code.
 */

import { fromJSON, type MethodDefinition } from '@grpc/proto-loader'

const wrapper = (type: string) => ({ fields: { value: { type, id: 1 } } })

/** An event of a type that is counted and not looked into. */
const OPAQUE = { fields: {} }

const PROCESS = {
  fields: {
    exec_id: { type: 'string', id: 1 },
    pid: { type: 'google.protobuf.UInt32Value', id: 2 },
    uid: { type: 'google.protobuf.UInt32Value', id: 3 },
    cwd: { type: 'string', id: 4 },
    binary: { type: 'string', id: 5 },
    arguments: { type: 'string', id: 6 },
    flags: { type: 'string', id: 7 },
    start_time: { type: 'google.protobuf.Timestamp', id: 8 },
    pod: { type: 'Pod', id: 10 },
    docker: { type: 'string', id: 11 },
    parent_exec_id: { type: 'string', id: 12 },
    binary_properties: { type: 'BinaryProperties', id: 18 },
    in_init_tree: { type: 'google.protobuf.BoolValue', id: 20 },
  },
}

const POD = {
  fields: {
    namespace: { type: 'string', id: 1 },
    name: { type: 'string', id: 2 },
    uid: { type: 'string', id: 3 },
    container: { type: 'Container', id: 4 },
    workload: { type: 'string', id: 6 },
    workload_kind: { type: 'string', id: 7 },
  },
}

const CONTAINER = {
  fields: {
    id: { type: 'string', id: 1 },
    name: { type: 'string', id: 2 },
    image: { type: 'Image', id: 3 },
    start_time: { type: 'google.protobuf.Timestamp', id: 4 },
    maybe_exec_probe: { type: 'bool', id: 13 },
  },
}

/** The number of the event type that is asked for: the agent then sends no other. */
export const PROCESS_EXEC = 1

const TETRAGON: Parameters<typeof fromJSON>[0] = {
  nested: {
    google: {
      nested: {
        protobuf: {
          nested: {
            Timestamp: { fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } } },
            UInt32Value: wrapper('uint32'),
            BoolValue: wrapper('bool'),
          },
        },
      },
    },
    tetragon: {
      nested: {
        FineGuidanceSensors: {
          methods: {
            GetEvents: {
              requestType: 'GetEventsRequest',
              responseType: 'GetEventsResponse',
              responseStream: true,
              comment: '',
            },
          },
        },
        GetEventsRequest: { fields: { allow_list: { rule: 'repeated', type: 'Filter', id: 1 } } },
        // An enum in Tetragon's own file: the same bytes.
        Filter: { fields: { event_set: { rule: 'repeated', type: 'int32', id: 6 } } },
        GetEventsResponse: {
          oneofs: { event: { oneof: ['process_exec', 'process_exit', 'rate_limit_info'] } },
          fields: {
            process_exec: { type: 'ProcessExec', id: 1 },
            process_exit: { type: 'Opaque', id: 5 },
            rate_limit_info: { type: 'RateLimitInfo', id: 40001 },
            node_name: { type: 'string', id: 1000 },
            time: { type: 'google.protobuf.Timestamp', id: 1001 },
            cluster_name: { type: 'string', id: 1003 },
          },
        },
        ProcessExec: { fields: { process: { type: 'Process', id: 1 }, parent: { type: 'Process', id: 2 } } },
        RateLimitInfo: { fields: { number_of_dropped_process_events: { type: 'uint64', id: 1 } } },
        Opaque: OPAQUE,
        Process: PROCESS,
        Pod: POD,
        Container: CONTAINER,
        Image: { fields: { id: { type: 'string', id: 1 }, name: { type: 'string', id: 2 } } },
        BinaryProperties: { fields: { file: { type: 'FileProperties', id: 4 } } },
        FileProperties: { fields: { inode: { type: 'InodeProperties', id: 1 } } },
        InodeProperties: { fields: { links: { type: 'google.protobuf.UInt32Value', id: 2 } } },
      },
    },
  },
}

/** How `GetEvents` is called, and how its messages are read and written: the shape of the JSON export. */
export function describeGetEvents(): MethodDefinition<object, object> {
  const options = { keepCase: true, longs: String, enums: String, defaults: false }
  const service = fromJSON(TETRAGON, options)['tetragon.FineGuidanceSensors']
  const method = service === undefined || 'format' in service ? undefined : service['GetEvents']
  if (method === undefined || typeof method === 'function') throw new Error('GetEvents is not described')
  return method
}
