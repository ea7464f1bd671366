// Downloads targets with tuf-js, a TUF client that was not written here. One JSON object on the command line:
// { packages, metadata, targets, url | folder, names }. Each name becomes a line "NAME SHA256" on standard output, or "NAME none".
'use strict';
const { createHash } = require('node:crypto');
const { createReadStream, existsSync, readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { createRequire } = require('node:module');
const { join, normalize } = require('node:path');

const asked = JSON.parse(process.argv[2]);
const { Updater } = createRequire(join(asked.packages, 'package.json'))('tuf-js');

// A folder is served as any static web server would.
function serve(folder) {
  const server = createServer((request, response) => {
    const file = join(folder, normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname)));
    if (!file.startsWith(folder) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    createReadStream(file).pipe(response);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

(async () => {
  const server = asked.folder ? await serve(asked.folder) : undefined;
  const base = server ? `http://127.0.0.1:${server.address().port}` : asked.url.replace(/\/$/, '');
  try {
    const updater = new Updater({
      metadataDir: asked.metadata,
      metadataBaseUrl: `${base}/metadata`,
      targetDir: asked.targets,
      targetBaseUrl: `${base}/targets`,
    });
    await updater.refresh();
    for (const name of asked.names) {
      const target = await updater.getTargetInfo(name);
      if (!target) {
        console.log(`${name} none`);
        continue;
      }
      const file = await updater.downloadTarget(target);
      console.log(`${name} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`);
    }
  } finally {
    server?.close();
  }
})().catch((problem) => {
  console.error(problem);
  process.exit(1);
});
