using System.Diagnostics.CodeAnalysis;
using Npgsql;

namespace Coppice.Server.Storage;

/// <summary>Where a PostgreSQL database is: <c>postgres://user:password@host:port/database?sslmode=verify-full</c>.</summary>
/// <remarks>What is left out comes from <c>PGUSER</c>, <c>PGPASSWORD</c> and the password file, as for PostgreSQL's own programs.</remarks>
public sealed class PostgresAddress
{
    const int DefaultPort = 5432;

    readonly NpgsqlConnectionStringBuilder connection;

    PostgresAddress(NpgsqlConnectionStringBuilder connection) => this.connection = connection;

    /// <summary>Whether the address itself holds the password.</summary>
    public bool HasPassword => connection.Password is { Length: > 0 };

    /// <summary>Host, port and database, without user and password.</summary>
    public string Place => $"{connection.Host}:{connection.Port}/{connection.Database}";

    /// <summary>As the driver reads it; holds the password.</summary>
    internal string ConnectionString => connection.ConnectionString;

    /// <summary>Reads an address.</summary>
    /// <param name="text">The address.</param>
    /// <param name="address">Null when it is none.</param>
    /// <param name="problem">What is wrong with it, without the password; empty when it is good.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out PostgresAddress? address, out string problem)
    {
        address = null;
        if (!Uri.TryCreate(text.Trim(), UriKind.Absolute, out var url) || url.Scheme is not ("postgres" or "postgresql"))
        {
            problem = "is no address of a PostgreSQL database; write postgres://user@host:5432/database, with what is not a letter or digit in a name or password percent-encoded.";
            return false;
        }

        var user = url.UserInfo.Split(':', 2);
        var made = new NpgsqlConnectionStringBuilder
        {
            Host = url.Host.Trim('[', ']'),
            Port = url.Port > 0 ? url.Port : DefaultPort,
            Database = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/')),
            ApplicationName = "coppice",
            Timeout = 15,
            CommandTimeout = 60,
            KeepAlive = 30, // a host that vanished is noticed
            MaxPoolSize = 64,
        };
        if (user[0].Length > 0)
            made.Username = Uri.UnescapeDataString(user[0]);
        if (user.Length > 1)
            made.Password = Uri.UnescapeDataString(user[1]);
        problem = "";
        foreach (var part in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var pair = part.Split('=', 2);
            problem = Set(made, pair[0], pair.Length > 1 ? Uri.UnescapeDataString(pair[1]) : "");
            if (problem.Length > 0)
                return false;
        }

        if (made.Host is not { Length: > 0 })
            problem = "names no host; write postgres://user@host:5432/database, or ?host=/var/run/postgresql for a socket of this machine.";
        else if (made.Database is not { Length: > 0 } || made.Database.Contains('/', StringComparison.Ordinal))
            problem = "names no database; write it after the host: postgres://user@host:5432/database.";
        if (problem.Length > 0)
            return false;
        address = new(made);
        return true;
    }

    static string Set(NpgsqlConnectionStringBuilder made, string name, string value)
    {
        switch (name)
        {
            case "host":
                made.Host = value;
                return "";
            case "sslmode" when Enum.TryParse<SslMode>(value.Replace("-", "", StringComparison.Ordinal), ignoreCase: true, out var mode):
                made.SslMode = mode;
                return "";
            case "sslmode":
                return $"has sslmode={value}; give disable, prefer, require, verify-ca or verify-full.";
            case "sslrootcert":
                made.RootCertificate = value;
                return "";
            case "sslcert":
                made.SslCertificate = value;
                return "";
            case "sslkey":
                made.SslKey = value;
                return "";
            case "pool" when int.TryParse(value, out var most) && most is >= 4 and <= 1000:
                made.MaxPoolSize = most;
                return "";
            case "pool":
                return $"has pool={value}; give 4 to 1000 connections.";
            default:
                return $"has the setting '{name}', which is not known; sslmode, sslrootcert, sslcert, sslkey, host and pool are.";
        }
    }
}
