// A real OpenID Connect provider for the tests: node-oidc-provider with its development log-in pages, on a free port of this machine.
// POST /rotate gives it new keys. Whoever logs in by a name gets it as 'sub'; "ops-alice" is in the group "ops".
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const kinds = { RS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }] };
let made = 0;
const newKey = (alg) => ({ ...generateKeyPairSync(...kinds[alg]).privateKey.export({ format: 'jwk' }), kid: `${alg}-${++made}`, alg, use: 'sig' });

const server = createServer((request, response) => handle(request, response));
let handle = (_, response) => response.end();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const start = () => {
    const client = (id, alg) => ({
      client_id: id, token_endpoint_auth_method: 'none', application_type: 'native', id_token_signed_response_alg: alg, redirect_uris: ['http://127.0.0.1/'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'], response_types: ['code'],
    });
    const provider = new Provider(issuer, {
      clients: [client('coppice', 'RS256'), client('coppice-ec', 'ES256'), client('another', 'RS256')],
      jwks: { keys: [newKey('RS256'), newKey('ES256')] },
      cookies: { keys: ['of no worth'] },
      features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'], profile: ['name'] },
      scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
      conformIdTokenClaims: false,
      pkce: { required: () => true },
      issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
      ttl: { IdToken: 600, DeviceCode: 600, Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, RefreshToken: 3600 },
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.org`, email_verified: !id.startsWith('new-'), groups: id.includes('-') ? [id.split('-')[0], 'everybody'] : ['everybody'] }) }),
    });
    const callback = provider.callback();
    handle = (request, response) => {
      if (request.url === '/rotate') { start(); response.end(); } else callback(request, response);
    };
  };
  start();
  console.log(JSON.stringify({ url: issuer }));
});
process.stdin.on('end', () => process.exit(0)).resume(); // goes with the tests
