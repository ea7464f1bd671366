using Coppice.Registry;
using Coppice.Trust;
using Microsoft.OpenApi;

namespace Coppice.Server;

/// <summary>The OpenAPI document: generated from the endpoints, the same on every start.</summary>
/// <remarks>Handlers are internal, not private: their summaries get into the document only so.</remarks>
static class ApiDescription
{
    static readonly Dictionary<Type, (string Pattern, string Wanted)> Texts = new()
    {
        [typeof(ModelName)] = ("^[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._-]{0,63}$", "Owner and name: plant/bearing."),
        [typeof(SemanticVersion)] = (@"^\d+\.\d+\.\d+([-+].+)?$", "A semantic version: 1.4.0."),
        [typeof(VersionRange)] = (@"^[<>=]*\d.*$", "A range of versions: '>=1.2.0 <2.0.0'."),
        [typeof(Sha256Digest)] = ("^[0-9a-f]{64}$", "A SHA-256 in hexadecimal."),
        [typeof(TimeSpan)] = (@"^\d+(\.\d+)?(ms|s|m|h|d)$", "A duration: 250ms, 90s, 24h."),
    };

    public static void AddApiDescription(this IServiceCollection services) => services.AddOpenApi("v1", options =>
    {
        options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1;
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new() { Title = "Coppice", Version = "v1", Description = "Control API and device API. Refusals are application/problem+json with a stable type." };
            document.Servers = []; // wherever it was asked
            document.Components ??= new();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
            {
                ["operator"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "An operator's token." },
                ["device"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.MutualTLS, Description = "The device's certificate in TLS, or an HTTP message signature (RFC 9421) by its key." },
            };
            return Task.CompletedTask;
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            if (context.Description.ActionDescriptor.EndpointMetadata.OfType<Microsoft.AspNetCore.Authorization.AuthorizeAttribute>().LastOrDefault()?.Policy is { } policy)
                operation.Security = [new() { [new OpenApiSecuritySchemeReference(policy, context.Document)] = [] }];
            return Task.CompletedTask;
        });
        options.AddSchemaTransformer((schema, context, _) =>
        {
            if (Texts.TryGetValue(Nullable.GetUnderlyingType(context.JsonTypeInfo.Type) ?? context.JsonTypeInfo.Type, out var text))
            {
                schema.Type = JsonSchemaType.String;
                (schema.Pattern, schema.Description) = (text.Pattern, text.Wanted);
            }

            return Task.CompletedTask;
        });
    });
}
