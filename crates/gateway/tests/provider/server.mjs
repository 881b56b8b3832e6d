// An OpenID provider for tests: the package `oidc-provider` (MIT), with a page on which everybody may log in.
// Takes a port (0 for a free one) and the seconds that access tokens live; prints one JSON line when it is ready, and one
// for every token that it gives.
import http from 'node:http';
import Provider from 'oidc-provider';

const [port, life] = process.argv.slice(2).map(Number);
const server = http.createServer();
server.listen(port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'shop',
        client_secret: 'CANARY-client-secret',
        redirect_uris: ['https://shop.example/oidc/callback'],
        post_logout_redirect_uris: ['https://shop.example/'],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
      {
        client_id: 'robot',
        client_secret: 'secret',
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
    ],
    cookies: { keys: ['a key of the tests'] },
    pkce: { required: () => true },
    conformIdTokenClaims: false,
    claims: { openid: ['sub', 'groups'], email: ['email'] },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@shop.example`, groups: id === 'alice' ? ['staff'] : ['guests'] }),
    }),
    // Everybody is asked who they are, and nobody whether the shop may know it.
    loadExistingGrant: async (ctx) => {
      const grant = new provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email offline_access');
      await grant.save();
      return grant;
    },
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: life, ClientCredentials: life, IdToken: 600, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, client, oneOf) => oneOf,
        getResourceServerInfo: () => ({ scope: 'orders.read', audience: 'orders', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
      },
    },
  });
  // The gateway of a test listens on a port that nobody knows before.
  const local = (path) => (uri) => { const url = new URL(uri); return url.hostname === '127.0.0.1' && url.pathname === path; };
  provider.Client.prototype.redirectUriAllowed = local('/oidc/callback');
  provider.Client.prototype.postLogoutRedirectUriAllowed = local('/');
  const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
  provider.on('grant.success', (ctx) => tell({ gave: ctx.oidc.params.grant_type }));
  provider.on('grant.error', (ctx, error) => tell({ refused: ctx.oidc.params?.grant_type ?? '', error: error.error }));
  provider.on('server_error', (ctx, error) => tell({ broken: String(error.stack) }));
  server.on('request', provider.callback());
  tell({ issuer });
});
