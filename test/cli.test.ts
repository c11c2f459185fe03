import { spawnSync } from 'node:child_process'
import t from 'tap'
import { runCommand } from './support/run-command.js'

const COMMANDS = ['webhook', 'correlate', 'replay', 'check', 'explain', 'certs', 'report', 'demo']

t.test('--help lists every command, and each has a help of its own with an example', async t => {
  const { stdout, exitCode } = await runCommand(['--help'])
  t.equal(exitCode, 0)
  for (const name of COMMANDS) {
    t.match(stdout, new RegExp(`^ {2}${name} `, 'm'))
    const help = await runCommand([name, '--help'])
    t.equal(help.exitCode, 0, name)
    t.match(help.stdout, /^Usage: sallyport /m)
    t.match(help.stdout, /Example/)
    t.equal(help.stderr, '')
  }
})

t.test('a wrong command line is told in words on stderr and ends with 64', async t => {
  const lines = [
    [],
    ['nope'],
    ['--nope'],
    ['check'],
    ['check', '--policy', 'policies/starter.yaml'],
    ['explain', '--policy', 'policies/starter.yaml'],
    ['explain', '--policy', 'policies/starter.yaml', '--nope', 'x'],
    ['explain', '--policy', 'policies/starter.yaml', '-o', 'xml', 'x'],
    ['explain', '--policy', 'policies/starter.yaml', '-n', 'Not_A_Name', 'x'],
    ['explain', '--policy', 'policies/starter.yaml', '--as-of', 'yesterday', 'x'],
    ['explain', '--policy', 'policies/starter.yaml', '-', 'x'],
    ['replay', '--policy', 'policies/starter.yaml'],
    ['webhook', '--policy', 'policies/starter.yaml'],
    ['correlate', '--policy', 'policies/starter.yaml'],
    ['certs', '--out', 'x'],
  ]
  for (const argv of lines) {
    const { stdout, stderr, exitCode } = await runCommand(argv)
    t.equal(exitCode, 64, argv.join(' '))
    t.equal(stdout, '')
    t.match(stderr, /\S/)
    t.notMatch(stderr, /^\s+at /m, 'no stack')
  }
})

t.test('the executable runs as a process of its own and passes its exit status on', async t => {
  const sallyport = (...argv: string[]) =>
    spawnSync(process.execPath, ['--import=tsx', 'src/cli.ts', ...argv], { encoding: 'utf8' })
  t.match(sallyport('--version'), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  t.match(sallyport('explain', '-p', 'policies/strict.yaml', 'nginx'), { status: 1, stdout: /not-allowed/ })
  t.match(sallyport('explain', '-p', 'no-such-file', 'nginx'), { status: 78, stdout: '', stderr: /no such file/ })
})
