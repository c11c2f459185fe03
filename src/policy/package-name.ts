/** What a package is called, however it is written. */

import { basename } from './tool-name.js'

const MAX_LENGTH = 512
const VERSION = /(?:@[^/@]*|[=<>~!]=?[^/]*)$/
/** A Go module of a later version has that as its last part. */
const MODULE_VERSION = /\/v\d{1,4}$/

/** `nixpkgs#name`: the flake that holds the package. */
const FLAKE = /^[^#]{1,200}#/

/** `@scope/name@1.2`, `name==1.0`, `github.com/owner/name/cmd/name@latest`: the last name, without the version. */
export function packageName(written: string): string {
  const plain = written
    .slice(0, MAX_LENGTH)
    .replace(/^git\+/, '')
    .replace(FLAKE, '')
  const version = plain.lastIndexOf('@')
  const named = version > 0 && !plain.slice(version).includes('/') ? plain.slice(0, version) : plain
  return basename(named.replace(VERSION, '').replace(MODULE_VERSION, '')).replace(/\.git$/, '')
}
