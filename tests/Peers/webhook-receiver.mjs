// Receives webhooks and verifies them with the reference library of Standard Webhooks, by the secret in the path; tells each as a line of JSON.
// The query says how to answer: ?answer=503,503,200 for the first, the second and all later ones of each event.
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const seen = new Map();
const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts).toString('utf8');
    const url = new URL(request.url, 'http://x');
    const id = request.headers['webhook-id'];
    const times = (seen.get(id) ?? 0) + 1;
    seen.set(id, times);
    const answers = (url.searchParams.get('answer') ?? '200').split(',').map(Number);
    const status = answers[Math.min(times, answers.length) - 1];
    let verified = true;
    Date.now = () => 1000 * Number(request.headers['webhook-timestamp']); // the tests' clock is not this machine's
    try { new Webhook(decodeURIComponent(url.pathname.slice(1))).verify(body, request.headers); } catch (e) { verified = e.message; }
    if (status === 302) response.setHeader('Location', '/elsewhere');
    if (status === 429) response.setHeader('Retry-After', '3600');
    response.writeHead(status).end('whatever');
    console.log(JSON.stringify({ id, times, status, verified, body: JSON.parse(body) }));
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/` })));
process.stdin.on('end', () => process.exit(0)).resume();
