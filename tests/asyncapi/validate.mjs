// Reads an AsyncAPI document with the parser of the AsyncAPI project, prints what it has to say, and fails if any
// of it is an error: node validate.mjs <file>

import { readFile } from 'node:fs/promises';
import { Parser } from '@asyncapi/parser';

// Severities of the parser's diagnostics, from 0.
const SEVERITIES = ['error', 'warning', 'info', 'hint'];
const ERROR = 0;

const file = process.argv[2];
if (!file) {
  console.error('usage: node validate.mjs <file>');
  process.exit(2);
}

const { document, diagnostics } = await new Parser().parse(await readFile(file, 'utf8'), { source: file });
for (const { severity, range, path, message } of diagnostics) {
  const { line, character } = range.start;
  console.error(`${file}:${line + 1}:${character + 1}: ${SEVERITIES[severity]}: ${path.join('.')}: ${message}`);
}
const errors = diagnostics.filter(({ severity }) => severity === ERROR).length;
if (errors > 0 || !document) {
  console.error(`${file} is not a valid AsyncAPI document: ${errors} errors`);
  process.exit(1);
}
const channels = document.allChannels().length;
const messages = document.allMessages().length;
if (channels === 0 || messages === 0) {
  console.error(`${file} describes nothing: ${channels} channels, ${messages} messages`);
  process.exit(1);
}
console.log(`${file}: AsyncAPI ${document.version()}, ${channels} channels, ${messages} messages, valid`);
