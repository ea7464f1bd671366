// An S3-compatible object store for the tests, in a folder, on a free port of this machine. POST /-/refuse has it refuse writes, POST /-/take take them again;
// GET /-/reads says how many reads came with a signed address, and from whom.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import S3rver from 's3rver';

const directory = mkdtempSync(join(tmpdir(), 'coppice-object-store-'));
const store = new S3rver({ directory, silent: true, configureBuckets: [{ name: 'models' }] });
await store.configureBuckets();
const answer = store.callback();
let refusing = false;
const reads = [];
const server = createServer((request, response) => {
  if (request.url === '/-/refuse' || request.url === '/-/take') {
    refusing = request.url === '/-/refuse';
    response.end();
  } else if (request.url === '/-/reads') {
    response.end(JSON.stringify(reads));
  } else if (refusing && request.method !== 'GET' && request.method !== 'HEAD') {
    request.resume().on('end', () => response.writeHead(403, { 'Content-Type': 'application/xml' })
      .end('<?xml version="1.0"?><Error><Code>QuotaExceeded</Code><Message>The bucket is full.</Message></Error>'));
  } else {
    if (request.method === 'GET' && request.url.includes('X-Amz-Signature=')) {
      reads.push({ agent: request.headers['user-agent'], range: request.headers.range ?? null, proof: request.headers.authorization ?? request.headers.signature ?? null });
    }
    answer(request, response);
  }
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on('end', () => { rmSync(directory, { recursive: true, force: true }); process.exit(0); }).resume();
